from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from heapline.memberships import SegmentRow
from tests.small_index import write_index

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ["producers", "consumers", "state", "operations", "web", "cli", "devstack"]
CONTRACTS = {path.name for path in (ROOT / "avro").glob("*.avsc")}
CLIENT_ONLY = """
import importlib.abc
import sys

forbidden = {
    "pydantic", "pydantic_settings", "structlog", "typer", "rich", "fastapi", "uvicorn", "duckdb",
    "prometheus_client",
}


class Forbid(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in forbidden | hidden:
            raise ModuleNotFoundError(f"{name} is not among the client's dependencies", name=name)


hidden = set(sys.argv[1].split(",")) - {""}
sys.meta_path.insert(0, Forbid())
"""


def built(folder: Path, target: Path) -> Path:
    """Build a wheel as `make wheels` does, without network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (wheel,) = target.iterdir()
    return wheel


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's wheel."""
    return built(ROOT / "packaging" / "client", tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service's wheel."""
    return built(ROOT, tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="module")
def environment(client: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's folder: the client installed beside a `state.py` of their own."""
    folder = tmp_path_factory.mktemp("somebody")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    options = ["--no-deps", "--no-index", "--target", str(folder), str(client)]
    subprocess.run([*pip, *options], check=True, capture_output=True)
    (folder / "state.py").write_text("OWNER = 'somebody'\n")
    return folder


def names_in(wheel: Path) -> set[str]:
    """List a wheel's files."""
    with zipfile.ZipFile(wheel) as opened:
        return set(opened.namelist())


def metadata_of(wheel: Path) -> str:
    """Give a wheel's metadata."""
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (each for each in opened.namelist() if each.endswith(".dist-info/METADATA"))
        return opened.read(name).decode()


def run_as_somebody(environment: Path, code: str, hidden: str = "") -> str:
    """Run code where the client is installed and this checkout is not on the path."""
    start = f"sys.path[:] = [{str(environment)!r}] + [p for p in sys.path if p != {str(ROOT)!r}]\n"
    done = subprocess.run(
        [sys.executable, "-P", "-c", CLIENT_ONLY + start + code, hidden],
        cwd=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_client_brings_one_top_level_name(client: Path) -> None:
    """`state` or `web` must never land in somebody else's environment."""
    tops = {name.partition("/")[0] for name in names_in(client)}
    assert {each for each in tops if not each.endswith(".dist-info")} == {"heapline"}


def test_the_service_brings_every_room(service: Path) -> None:
    """And neither tests nor benchmarks."""
    tops = {name.partition("/")[0] for name in names_in(service)}
    assert {each for each in tops if not each.endswith(".dist-info")} == {"heapline", *ROOMS}


@pytest.mark.parametrize("which", ["client", "service"])
def test_both_carry_contracts_types_and_licence(which: str, request: pytest.FixtureRequest) -> None:
    """The schemas inside the package, `py.typed`, and nothing that was only lying about."""
    names = names_in(request.getfixturevalue(which))
    assert {f"heapline/avro/{each}" for each in CONTRACTS} <= names
    assert "heapline/py.typed" in names
    assert any(name.endswith("LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    sources = {str(p.relative_to(ROOT)) for p in (ROOT / "heapline").rglob("*.py")}
    assert sources <= names


def test_the_service_is_started_as_heapline(service: Path) -> None:
    """The command's entry point."""
    with zipfile.ZipFile(service) as opened:
        (name,) = (each for each in opened.namelist() if each.endswith("entry_points.txt"))
        assert "heapline = cli.main:main" in opened.read(name).decode()


def test_the_client_needs_little(client: Path, service: Path) -> None:
    """Three dependencies, Kafka only with the extra, and the service's version."""
    lines = metadata_of(client).splitlines()
    needs = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist")]
    plain = {line.partition(">")[0] for line in needs if "extra ==" not in line}
    assert plain == {"fastavro", "orjson", "rfc8785"}
    publisher = next(line for line in needs if "publisher" in line)
    assert publisher.startswith("confluent-kafka[schema")
    reader = {line.partition(">")[0] for line in needs if "reader" in line}
    assert reader == {"numpy", "pyroaring"}
    version = next(line for line in lines if line.startswith("Version: "))
    assert version in metadata_of(service)


def test_somebodys_own_state_stays_theirs(environment: Path) -> None:
    """Beside the client, `import state` is what it was before."""
    assert run_as_somebody(environment, "import state; print(state.OWNER)") == "somebody"


def test_the_publisher_works_with_the_clients_dependencies_alone(environment: Path) -> None:
    """From the installed wheel, with everything only the service needs out of reach."""
    code = """
import heapline.events
from heapline.events import AsyncEventPublisher, EventPublisher, to_event
from heapline.kafka.schemas import schema_text

assert schema_text("CommandAIEvent")
print(heapline.events.__file__)
"""
    assert run_as_somebody(environment, code) == str(
        environment / "heapline" / "events" / "__init__.py"
    )


def test_the_reader_works_with_the_clients_dependencies_alone(
    environment: Path, tmp_path: Path
) -> None:
    """Without Kafka, Avro, or anything only the service needs."""
    row = SegmentRow("acme", "7", pages_partition=1, pages_offset=2)
    write_index(tmp_path / "index", [row], {("acme", "7"): ["u-1"]})
    code = f"""
from heapline.kafka.position import Position
from heapline.memberships import MembershipReader

reader = MembershipReader({str(tmp_path / "index")!r})
assert reader.has_reached(Position.of(1, 2, "acme", "7"))
print(reader.is_member("acme", "u-1", "7"), reader.is_member("acme", "u-2", "7"))
"""
    hidden = "confluent_kafka,httpx,authlib,fastavro,rfc8785,polars"
    assert run_as_somebody(environment, code, hidden) == "True False"


def test_events_are_understood_without_kafka(environment: Path) -> None:
    """Without the `publisher` extra: shapes and ids, no Kafka client."""
    code = """
from heapline.events import to_event
from heapline.events.model import Event

print(Event.__name__)
"""
    hidden = "confluent_kafka,httpx,httpx2,authlib,certifi,cachetools,attr"
    assert run_as_somebody(environment, code, hidden) == "Event"
