"""The screens' parts: each draws one thing from a `FleetView` and keeps no data of its own."""
