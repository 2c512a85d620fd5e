/** What must not be overlooked: the venue is frozen, what is shown is old, the price is stale or made up. */

import type { JSX } from "preact";
import { broadcast, connection, frozen, old, reference, silentS, watched } from "../venue/live";

export function Banner(): JSX.Element {
  const ref = reference.value;
  return (
    <div class="banners" aria-live="polite">
      {frozen.value.frozen && (
        <p class="banner banner-bad" role="alert" data-banner="frozen">
          <strong>Venue frozen.</strong> New orders are declined; cancels and settlement go on.{" "}
          {frozen.value.reason === null ? (
            "No reason was given."
          ) : (
            <>
              Reason: <q>{frozen.value.reason}</q>
            </>
          )}
        </p>
      )}
      {old.value && (
        <p class="banner banner-bad" role="alert" data-banner="old">
          <strong>{connection.value === "lost" ? "Connection lost." : "Nothing heard."}</strong> What you see is{" "}
          <span class="number">{silentS.value}</span> s old. Trying again …
        </p>
      )}
      {ref && ref.status !== "LIVE" && (
        <p class="banner banner-bad" role="alert" data-banner="stale">
          <strong>{ref.status === "DOWN" ? "Reference price down." : "Reference price stale."}</strong>{" "}
          {ref.status === "DOWN" ? "There is no Bitcoin price" : "The Bitcoin price is old"}; market orders are
          declined, and a window without a usable print ends void.
        </p>
      )}
      {watched.value?.halted && (
        <p class="banner banner-warn" data-banner="halted">
          <strong>This window is halted.</strong> Orders are declined; cancels go on.
        </p>
      )}
      {ref === null && !old.value && (
        // It keeps the place of what is said next, so that nothing moves when it comes.
        <p class="banner banner-info">Connecting to the venue …</p>
      )}
      {ref?.synthetic && (
        <p class="banner banner-warn" data-banner="synthetic">
          <strong>Synthetic price.</strong> This is not the real Bitcoin price: the venue makes it up, and all cash is
          test cash.
        </p>
      )}
      {broadcast.value && (
        <p class="banner banner-info" data-banner="broadcast">
          <strong>From the operator:</strong> {broadcast.value}
          <button
            type="button"
            class="banner-close"
            aria-label="Dismiss"
            onClick={() => {
              broadcast.value = null;
            }}
          >
            ×
          </button>
        </p>
      )}
    </div>
  );
}
