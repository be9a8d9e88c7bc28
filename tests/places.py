"""Topologies of three regions that stand where they do in reality."""


def three(us: int, eu: int, ap: int) -> str:
    """us, eu and ap with so many edges each, as TOML."""
    places = (("us", 39.0, -77.5, us), ("eu", 50.1, 8.7, eu), ("ap", 1.35, 103.8, ap))
    return "".join(
        f'[[regions]]\nname = "{name}"\nlat = {lat}\nlon = {lon}\nedges = {edges}\n'
        for name, lat, lon, edges in places
    )
