"""The mcp station: tools for the model, and the calls that it makes of them. For now it passes calls through.

| file | what |
|---|---|
| `station` | the station's place in the path |
"""

from bifrost_trio.mcp.station import tools

__all__ = ["tools"]
