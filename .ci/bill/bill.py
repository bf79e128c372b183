"""Writes what a build of Mainstay is made of, as CycloneDX (JSON), from what cargo says of the lock file
and what is served with the console.

Reads `cargo metadata --format-version 1` on standard input and writes the bill to the file that is named. The bill is
checked against the schema of the format before it is written.
"""

import json
import pathlib
import sys

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = "mainstay-server"


def linked(metadata):
    """The ids of the packages that are linked into the binary, or that build it: what only tests need is left out."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = next(package["id"] for package in metadata["packages"] if package["name"] == ROOT)
    found, waiting = set(), [root]
    while waiting:
        package = waiting.pop()
        if package in found:
            continue
        found.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return root, found, nodes


def component(package, licences, kind):
    licence = package["license"]
    # An old way to write "or", which the format does not know.
    terms = [licences.make_from_string(licence.replace("/", " OR "))] if licence else []
    name, version = package["name"], package["version"]
    purl = PackageURL("cargo", name=name, version=version)
    return Component(type=kind, name=name, version=version, bom_ref=str(purl), purl=purl, licenses=terms)


def vendored(licences):
    """What others have made and is served with the console: a list beside this file, which a test holds to the files."""
    listed = pathlib.Path(__file__).with_name("vendored.json")
    for part in json.loads(listed.read_text(encoding="utf-8")):
        name, version = part["name"], part["version"]
        purl = PackageURL("npm", name=name, version=version)
        yield Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            bom_ref=str(purl),
            purl=purl,
            licenses=[licences.make_from_string(part["licence"])],
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=part["sha256"])],
        )


def bill(metadata):
    root, found, nodes = linked(metadata)
    packages = {package["id"]: package for package in metadata["packages"] if package["id"] in found}
    licences = LicenseFactory()
    components = {
        package: component(what, licences, ComponentType.APPLICATION if package == root else ComponentType.LIBRARY)
        for package, what in packages.items()
    }
    bom = Bom(components=[part for package, part in components.items() if package != root])
    bom.metadata.component = components[root]
    served = list(vendored(licences))
    bom.components.update(served)
    for package, part in components.items():
        needs = [components[one["pkg"]] for one in nodes[package]["deps"] if one["pkg"] in components]
        needs += served if package == root else []
        bom.register_dependency(part, needs)
    return bom


def main():
    out = pathlib.Path(sys.argv[1])
    bom = bill(json.load(sys.stdin))
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        sys.exit(f"the bill does not keep to its schema: {fault}")
    without = [part.name for part in bom.components if not part.licenses]
    if without:
        sys.exit(f"no licence is known of: {', '.join(sorted(without))}")
    out.write_text(text + "\n", encoding="utf-8")
    print(f"{len(bom.components)} parts in {out}")


main()
