"""What two domains agree on before a sample is read: classes, shape, protocol, and the fingerprint of the pair."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations, product

from datasets.conversions import Conversion, agree_on_shape
from datasets.domains import find_domain, find_pair, list_domains
from datasets.domains.base import SPLITS, Domain, PairEntry
from datasets.domains.preparing import open_if_current
from datasets.errors import DatasetError, shorten
from datasets.files.prepared import Prepared
from datasets.msda import LAYERS, width_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A pair by its name, without its data.

    Attributes:
        entry: what the catalogue says of it.
        domains: sources, then targets.
        class_names: the classes that the pair is about.
        shape: of one sample, the same for all.
        conversions: how each domain comes to that shape.
    """

    entry: PairEntry
    domains: tuple[Domain, ...]
    class_names: tuple[str, ...]
    shape: tuple[int, ...]
    conversions: tuple[Conversion, ...]

    @property
    def sources(self) -> int:
        """How many of the domains are sources."""
        return len(self.entry.sides[0])

    @property
    def titles(self) -> tuple[str, str]:
        """Of the source and of the target, as printed: A + B, C."""
        titles = [domain.title for domain in self.domains]
        return " + ".join(titles[: self.sources]), " + ".join(titles[self.sources :])

    @property
    def steps(self) -> tuple[str, ...]:
        """What is done to make the two agree, one sentence each."""
        steps = []
        for domain, conversion in zip(self.domains, self.conversions, strict=True):
            steps += conversion.steps
            if not set(domain.class_names) <= set(self.class_names):
                steps.append(f"{domain.name}: only the classes {', '.join(self.class_names)}")
        if self.entry.msda:
            steps.append(
                f"both: mSDA, {LAYERS} layers fitted on the training inputs of both, beside the counts; "
                f"{self.shape[0]:,} coordinates in the span of those inputs"
            )
        return tuple(steps)

    def protocol(self, prepared: Sequence[Prepared]) -> str:
        """Say in one line what is trained on and where the accuracy is measured, and what is missing of it."""
        sides = self.domains[: self.sources], self.domains[self.sources :]
        said = [self.entry.protocol] if self.entry.protocol else [protocol_of(*each) for each in product(*sides)]
        if len(self.domains) > 2:
            said.append(
                f"{len(sides[0])} source and {len(sides[1])} target domains, each with a domain label of its own"
            )
        said += [
            f"partial: {domain.name} has {len(domain.class_names)} of the {len(self.class_names)} classes, "
            f"{', '.join(domain.class_names)}"
            for domain in self.domains
            if set(domain.class_names) < set(self.class_names)
        ]
        said += [shortfall(*side) for side in zip(self.domains, prepared, strict=True)]
        return "; ".join(filter(None, dict.fromkeys(said)))

    def fingerprint(self, prepared: Sequence[Prepared]) -> str:
        """Hash what decides the samples of this pair: the contents of both domains, the protocol, the conversions.

        Args:
            prepared: all domains, opened; their headers are enough.

        Returns:
            SHA-256 as 64 hexadecimal digits.
        """
        contents = "\n".join((*(side.digest for side in prepared), self.protocol(prepared), *self.steps))
        return hashlib.sha256(contents.encode()).hexdigest()


def agree(name: str, class_names: Sequence[str] | None = None) -> Agreement:
    """Look up a pair and check that its domains fit each other.

    Args:
        name: as for `load_pair`.
        class_names: as for `load_pair`.

    Raises:
        DatasetError: an unknown name, or domains that do not fit each other.
    """
    entry = find_pair(name)
    sources, targets = (tuple(map(find_domain, side)) for side in entry.sides)
    shape, conversions = agree_on_shape(*sources, *targets)
    check_columns(name, (*sources, *targets))
    return Agreement(
        entry=entry,
        domains=sources + targets,
        class_names=agree_on_classes(name, sources, targets, class_names),
        shape=(width_of(shape[0], sources[0].counts[0] + targets[0].counts[0]),) if entry.msda else shape,
        conversions=conversions,
    )


def pair_fingerprint(name: str) -> str | None:
    """Tell the fingerprint of a pair from the headers of its prepared files: in a millisecond, no sample is read.

    Args:
        name: as for `load_pair`.

    Returns:
        What `load_pair(name).fingerprint` would say; None while a domain is not prepared on this machine.

    Raises:
        DatasetError: an unknown name, domains that do not fit each other, or a damaged file.
    """
    agreement = agree(name)
    prepared = [opened for domain in agreement.domains if (opened := open_if_current(domain))]
    return agreement.fingerprint(prepared) if len(prepared) == len(agreement.domains) else None


def outline_of(name: str) -> tuple[tuple[int, ...], int]:
    """Tell the shape of a pair's samples and the number of its classes, without its data.

    Args:
        name: as for `load_pair`.

    Raises:
        DatasetError: an unknown name, or domains that do not fit each other.
    """
    agreement = agree(name)
    return agreement.shape, len(agreement.class_names)


def partners(domain: Domain) -> list[str]:
    """Name the domains that this one makes a pair with: first those whose samples are at hand."""
    found = []
    for other in list_domains():
        with suppress(DatasetError):
            if other.name != domain.name and other.class_names == domain.class_names:
                agree_on_shape(domain, other)
                found.append((not (other.embedded or open_if_current(other)), other.name))
    return [name for _, name in sorted(found, key=lambda one: one[0])]


def check_columns(name: str, domains: Sequence[Domain]) -> None:
    """Refuse features of the same names in another order, which would be taken for each other.

    Raises:
        DatasetError: two domains have such.
    """
    for one, other in combinations(domains, 2):
        if one.columns != other.columns and sorted(one.columns) == sorted(other.columns):
            raise DatasetError(
                f"pair {name}: columns must have one order, {one.name} has {shorten(one.columns)}; "
                f"{other.name} has {shorten(other.columns)}"
            )


def agree_on_classes(
    name: str, sources: Sequence[Domain], targets: Sequence[Domain], wanted: Sequence[str] | None
) -> tuple[str, ...]:
    """Check that all have the classes that the pair is about; a target may lack some of them.

    Returns:
        The names of these classes.

    Raises:
        DatasetError: the sources' classes differ, a target has one that they have not, or a wanted one is not in all.
    """
    first, *others = sources
    shared = [one for one in first.class_names if all(one in each.class_names for each in (*others, *targets))]
    if wanted is not None:
        if not wanted or len(set(wanted)) != len(wanted) or not set(wanted) <= set(shared):
            raise DatasetError(
                f"pair {name}: class_names must be different classes of both ({', '.join(shared) or 'none'}), "
                f"got {', '.join(map(str, wanted)) or 'none'}"
            )
        return tuple(wanted)
    for other in (*others, *targets):
        mine, theirs = set(first.class_names), set(other.class_names)
        if not (theirs <= mine if other in targets else theirs == mine):
            raise DatasetError(
                f"pair {name}: classes differ, {first.name} has {', '.join(first.class_names)}; "
                f"{other.name} has {', '.join(other.class_names)}; class_names (--classes of `datasets add`) can "
                f"choose among those of both: {', '.join(shared) or 'none'}"
            )
    return first.class_names


def protocol_of(source: Domain, target: Domain) -> str:
    """Say what the splits of two domains make of a pair."""
    test = "the target test split" if target.counts[1] else "the same target samples"
    kind, part = ("inductive", "target training split") if target.counts[1] else ("transductive", "all target samples")
    given = "source training split" if source.counts[1] else "all source samples"
    return f"{kind}: {given} with labels, {part} without labels, accuracy on {test}"


def shortfall(domain: Domain, prepared: Prepared) -> str:
    """Say how much of a partial domain is there; empty when it is complete."""
    here = sum(len(prepared.arrays.get(f"{split}_labels", ())) for split in SPLITS)
    total = sum(domain.counts)
    return "" if here == total else f"PARTIAL {domain.name}: {here:,} of {total:,} samples"
