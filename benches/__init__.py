"""The gateway under load, beside nginx and the bare provider. `benches/README.md` says how to run and read it.

`workloads` is what is asked, `gateways` who is asked, `tool` the mock provider and the clients, `processes` what Linux
says about a process, `measure` one round, `report` the tables. Linux only.
"""
