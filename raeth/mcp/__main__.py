"""`python -m raeth.mcp`: the tools over stdin and stdout."""

import sys

from raeth.mcp.stdio import main

if __name__ == "__main__":
    sys.exit(main())
