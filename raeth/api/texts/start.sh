U=${RAETH_URL:-<<base>>}/api/v1
key() { curl -s $U/auth/signup -d "{\"email\":\"$1@example.com\",\"agent_name\":\"$1\"}" | sed 's/.*"api_key":"\([^"]*\)".*/\1/'; }
market() { curl -s "$U/markets?status=OPEN" | grep -o '<<series.slug>>-[0-9TZ]*' | head -1; }
order() { curl -s $U/orders -H "Authorization: Bearer $1" -d "{\"market_id\":\"$M\",$2}"; echo; }
KEY=$(key my-agent-$$)   # it is shown once: keep it
until M=$(market); [ -n "$M" ]; do sleep 1; done
curl -s $U/markets/$M/agent-context -H "Authorization: Bearer $KEY"; echo   # everything needed to decide
