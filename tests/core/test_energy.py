"""Energy counters: each package once, a restart of a counter, and nothing where nothing can be read."""

from harc.core.energy import read_packages, subtract_packages


def make_zone(folder, zone: str, name: str, joules: float):
    place = folder / zone
    place.mkdir(parents=True)
    for part, text in (
        ("name", name),
        ("energy_uj", round(joules * 1e6)),
        ("max_energy_range_uj", 100_000_000),
    ):
        (place / part).write_text(f"{text}\n")


def test_each_package_is_counted_once(tmp_path):
    make_zone(tmp_path, "intel-rapl:0", "package-0", 5)
    make_zone(tmp_path, "intel-rapl:0:0", "core", 3)
    make_zone(tmp_path, "intel-rapl:1", "psys", 9)
    make_zone(tmp_path, "intel-rapl-mmio:0", "package-0", 5)
    assert read_packages(tmp_path) == {"package-0": (5.0, 100.0)}


def test_a_counter_that_started_again():
    assert subtract_packages({"p": (90.0, 100.0)}, {"p": (5.0, 100.0)}) == 15.0
    assert subtract_packages({"p": (5.0, 100.0)}, {"p": (9.0, 100.0)}) == 4.0


def test_not_readable_is_not_zero(tmp_path):
    make_zone(tmp_path, "intel-rapl:0", "package-0", 5)
    (tmp_path / "intel-rapl:0/energy_uj").write_text("denied\n")
    assert read_packages(tmp_path) == {} and read_packages(tmp_path / "none") == {}
    assert subtract_packages({}, {"p": (1.0, 2.0)}) is None
