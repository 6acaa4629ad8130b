"""Data sets that tonic can read, from a folder of the user."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from ..config import Share
from ..data import Sample
from ..errors import CapabilityError, DataError, UsageError, near_miss
from ..input_files import changed
from .base import FileSource, Size, file_sha256, sample_digest
from .class_names import sorted_classes
from .group_splits import check_pattern, with_groups, with_test_groups
from .labelled_files import (
    Entry,
    GroupNumbers,
    LabelledFiles,
    Recording,
    SeenFiles,
    by_split,
    cut_groups,
    file_id,
    files_digest,
    files_under,
    id_hash,
)
from .other_files import describe_other
from .tonic_samples import (
    as_events,
    library,
    plain_target,
    sample_file,
    stored_groups,
    stored_targets,
    transformed,
)

# data sets whose targets are poses, tracks, depth and the like
_NO_CLASSES = ("DAVISDATA", "DSEC", "EBSSA", "MVSEC", "NERDD", "ThreeET_Eyetracking", "TUMVIE", "VPR")
_ARCHIVES = (".zip", ".gz", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".md5")
_SET_HERE = ("save_to", "transform", "target_transform", "transforms")


@dataclass(frozen=True)
class TonicData(FileSource):
    """A data set of tonic's (Lenz et al. 2021), read by tonic, with its transforms where configured.

    Events need the fields x, t, p and, of sensors with rows, y. Its training, validation and test parts
    are the splits; where it has no parts, or only the training part exists, a share of each class is test, chosen by a
    seeded hash.

    Labels come from lists that the data sets keep, without decoding samples. A data set that keeps none, as later
    versions of tonic may bring, has every sample decoded once to know its label.

    Parameters
    ----------
    path
        The folder that tonic calls ``save_to``, or the data set's own folder inside it.
    dataset
        The class in `tonic.datasets`, e.g. ``"DVSGesture"``.
    options
        Further arguments of that class, e.g. ``{"first_saccade_only": true}``.
    transforms
        Classes of `tonic.transforms` with their arguments, in order, e.g. ``[{"name": "Denoise", "filter_time":
        10000}]``; `sensor_size` is filled in. Random ones are seeded by `seed`, the split and the sample.
    size
        (width, height) of the sensor in pixels, for data sets without a single size, or after a transform that changes
        it.
    from_first
        Whether time stamps count from the first event, for data sets that keep the camera's clock; by default they
        are kept, and a recording that begins late is refused.
    download
        Whether tonic may download what is missing.
    test_share, split_seed
        Share of each class that is test where the data set has no split, and the seed of that choice.
    seed
        Seed of tonic's random transforms.
    group_pattern
        A regular expression that finds a sample's group in its id, for data sets whose persons tonic does not know: it
        does so of DVSGesture, NTIDIGITS18, SHD and SSC. No split that is chosen here or in training cuts through one.
    test_groups
        Groups whose samples are the test split in place of the data set's own, and all others training.
    licence
        Licence note kept with the store.
    """

    name: ClassVar[str] = "tonic"
    later_settings: ClassVar[tuple[str, ...]] = ("group_pattern", "test_groups")
    choice_settings: ClassVar[tuple[str, ...]] = (
        *later_settings,
        "dataset",
        "download",
        "test_share",
        "split_seed",
        "seed",
    )

    path: str = ""
    dataset: str = ""
    options: dict[str, Any] = field(default_factory=dict, hash=False)
    transforms: tuple[dict[str, Any], ...] = field(default=(), hash=False)
    size: Size = ()
    from_first: bool | None = None
    download: bool = False
    test_share: Share = 0.2
    split_seed: int = 0
    seed: int = 0
    licence: str = ""
    group_pattern: str = ""
    test_groups: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.size) == 1:
            raise UsageError(f"got tonic.size = {list(self.size)}", "[width, height] in pixels")
        if not all(isinstance(transform.get("name"), str) for transform in self.transforms):
            hint = 'For example: source.transforms=[{name="Denoise",filter_time=10000}].'
            raise UsageError(f"got tonic.transforms = {list(self.transforms)}", "a name in each", hint)
        check_pattern(self.group_pattern, self.name)

    @cached_property
    def _class(self) -> type[Any]:
        """The data set's class; its download refuses unless `download` allows it."""
        datasets = library().datasets
        known = [name for name in datasets.__all__ if name not in _NO_CLASSES]
        if self.dataset in _NO_CLASSES:
            raise UsageError(
                f"tonic's {self.dataset} has no classes to learn (its targets are tracks, poses or images)",
                "a data set for classification", f"Known: {', '.join(known)}.",
            )  # fmt: skip
        if self.dataset not in known:
            got = f"tonic has no data set {self.dataset!r}" if self.dataset else "no data set is named"
            hint = near_miss(self.dataset, known) if self.dataset else f"Known: {', '.join(known)}."
            raise UsageError(got, "a recipe such as tonic:DVSGesture", hint)
        cls: type[Any] = getattr(datasets, self.dataset)
        # tonic looks in a folder with the name of the class
        return cls if self.download else type(cls.__name__, (cls,), {"download": _refuse})

    @cached_property
    def _root(self) -> Path:
        root = Path(self.path)
        if not self.path or not root.is_dir():
            got = f"no folder {self.path!r}"
            raise DataError(got, f"the folder that holds {self.dataset}", "Give it as source=FOLDER.")
        return root.parent if root.name == self.dataset and not (root / self.dataset).is_dir() else root

    @cached_property
    def _parts(self) -> dict[str, Any]:
        """Split → tonic's data set; one without splits has the empty name."""
        accepted = inspect.signature(self._class.__init__).parameters
        allowed = [key for key in accepted if key not in (*_SET_HERE, "self", "train", "split")]
        for key in self.options:
            if key not in allowed:
                raise UsageError(
                    f"tonic's {self.dataset} has no argument {key!r}", "", near_miss(key, allowed)
                )
        arguments: dict[str, dict[str, Any]] = {"": {}}
        if "train" in accepted:
            arguments = {"train": {"train": True}, "test": {"train": False}}
        elif "split" in accepted:
            arguments = {
                "train": {"split": "train"},
                "validation": {"split": "valid"},
                "test": {"split": "test"},
            }
        parts = {split: self._construct(part) for split, part in arguments.items()}
        first = next(iter(parts.values()))
        if first is None:
            folder = Path(self._root, self.dataset)
            raise DataError(
                f"tonic does not find {self.dataset} in {self._root}: {folder} "
                f"{'is incomplete' if folder.is_dir() else 'does not exist'}",
                "the archives and their content, as tonic leaves them",
                "Give the folder that tonic calls save_to as source=FOLDER, or let tonic download the data there: "
                "use source.download=true.",
            )
        present = {split: part for split, part in parts.items() if part is not None}
        return present if len(present) > 1 else {"": first}

    def _construct(self, arguments: Mapping[str, Any]) -> Any:
        """Return tonic's data set, or None where its files are missing."""
        try:
            with contextlib.redirect_stdout(sys.stderr):  # some of tonic's data sets print
                return self._class(str(self._root), **arguments, **self.options)
        except _Missing:
            return None
        except (Exception, SystemExit) as error:  # one of tonic's data sets exits
            raise DataError(
                f"tonic cannot open {self.dataset} in {self._root} ({type(error).__name__}: {error})",
                "the data set as tonic lays it out",
                "Give the folder that tonic calls save_to as source=FOLDER.",
            ) from error

    @cached_property
    def _targets(self) -> dict[str, list[Any]]:
        """Split → the target of every sample, a number or a name."""
        by_part = {}
        for split, part in self._parts.items():
            try:
                targets = stored_targets(self.dataset, part)
                number = len(part)
            except Exception as error:  # whatever damaged files lead to
                raise DataError(
                    f"tonic cannot read the labels of {self.dataset} in {self._root} "
                    f"({type(error).__name__}: {error})",
                    "the data set as tonic lays it out",
                    "Fetch the data set again, or let tonic do so in another folder: use source.download=true.",
                ) from error
            if targets is None:
                targets = [self._item(part, n, f"sample {n}")[1] for n in range(number)]
            plain = [plain_target(target) for target in targets]
            other = next((t for t in plain if not isinstance(t, (int, str))), None)
            if other is not None:
                raise DataError(
                    f"tonic's {self.dataset} has targets such as {other!r}", "a class for each sample",
                    "Choose a data set for classification.",
                )  # fmt: skip
            self._check_sequences(plain)
            by_part[split] = plain
        return by_part

    def _check_sequences(self, targets: list[Any]) -> None:
        """Raise `DataError` where the targets are sequences of digits, which would each become a class."""
        sequences = [t for t in targets if isinstance(t, str) and len(t) > 1]
        if self.dataset == "NTIDIGITS18" and sequences:
            raise DataError(
                f"tonic's NTIDIGITS18 has sequences of digits such as {sequences[0]!r} as targets",
                "a class for each sample",
                "To read its single digits use source.options.single_digits=true.",
            )

    def _item(self, part: Any, number: int, label: str) -> tuple[Any, Any]:
        """Return a sample of tonic's, its events and its target; raises `DataError` where tonic cannot read it."""
        try:
            return part[number]  # type: ignore[no-any-return]
        except MemoryError:
            raise
        except ImportError as error:
            raise CapabilityError(
                f"tonic needs a package to read {self.dataset} that is not installed ({error})",
                "",
                f"Run: pip install {error.name or 'the package'}.",
            ) from error
        except Exception as error:  # whatever damaged files lead to
            file = sample_file(part, number)
            other, fix = describe_other([file], "events") if file else ("", "")
            raise DataError(
                f"tonic cannot read {label}{other.replace(': it has', ':')} ({type(error).__name__}: {error})",
                f"a sample of {self.dataset}",
                fix
                or "Fetch the data set again, or let tonic do so in another folder: use source.download=true.",
            ) from error

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Tonic's names of the classes, in label order; else the targets that occur, sorted."""
        names = getattr(next(iter(self._parts.values())), "classes", None)
        present = {target for targets in self._targets.values() for target in targets}
        if names is None:
            return sorted_classes(map(str, present))
        if isinstance(names, Mapping):
            names = [name for name, _ in sorted(names.items(), key=lambda pair: pair[1])]
        return tuple(n.decode() if isinstance(n, bytes) else str(n) for n in names)

    def _label(self, target: int | str) -> str:
        """Return the name of a target's class."""
        has_names = hasattr(next(iter(self._parts.values())), "classes")
        if isinstance(target, int) and has_names and 0 <= target < len(self.classes):
            return self.classes[target]
        if str(target) in self.classes:
            return str(target)
        raise DataError(
            f"tonic's {self.dataset} has the target {target!r}", f"one of its {len(self.classes)} classes",
            "Its files do not match the installed version of tonic.",
        )  # fmt: skip

    @cached_property
    def _samples(self) -> dict[str, list[_Member]]:
        origin = {}
        entries: list[Entry] = []
        for split, part in self._parts.items():
            groups = stored_groups(self.dataset, part) or [""] * len(self._targets[split])
            for n, (target, group) in enumerate(zip(self._targets[split], groups, strict=True)):
                file = sample_file(part, n)
                id_ = file_id(file, self._root) if file else f"{split or 'sample'}/{n}"
                entries.append(Entry(split, file or Path(), self._label(target), id_, group))
                origin[id_] = (part, n)
        if self.group_pattern:
            entries = with_groups(entries, self.group_pattern)
        if self.test_groups:
            entries = with_test_groups(entries, self.test_groups, "test_groups")
        recordings = LabelledFiles(entries, self.classes).recordings(self.test_share, self.split_seed)
        members = [_Member(**vars(r), part=origin[r.id][0], number=origin[r.id][1]) for r in recordings]
        return by_split(members, self.limit)

    @cached_property
    def _groups(self) -> GroupNumbers:
        return GroupNumbers([member for members in self._samples.values() for member in members])

    def group(self, split: str, index: int) -> int | None:
        """Return the number of a sample's group, by the names of the samples alone; None where there are no groups."""
        return self._groups[self._samples[split][index]]

    @property
    def _note(self) -> str:
        accepted = inspect.signature(self._class.__init__).parameters
        if "" in self._parts and {"train", "split"} & set(accepted) and "test" in self._samples:
            return f"tonic finds no test part: {self.test_share:.0%} of each class of the other are the test split"
        return ""

    def splits(self) -> Mapping[str, int]:
        """Return split → number of recordings."""
        return {split: len(members) for split, members in self._samples.items()}

    def read(self, split: str, index: int) -> Sample:
        """Return one recording, after tonic's transforms."""
        member = self._samples[split][index]
        label = f"{member.id} of tonic's {self.dataset}"
        events, target = self._item(member.part, member.number, label)
        if (name := self._label(plain_target(target))) != self.classes[member.label]:
            raise DataError(
                f"{label} has the target {name!r}",
                f"{self.classes[member.label]!r}, as the data set lists it",
                "Its files do not match the installed version of tonic.",
            )
        sensor = getattr(member.part, "sensor_size", None)
        if self.transforms:
            seed = int.from_bytes(id_hash(self.seed, "transforms", member.id)[:4], "little")
            events = transformed(events, self.transforms, sensor or (*self.size, 2), seed, label)
        sample = Sample(as_events(events, sensor, self.size, self.from_first, label), member.label, member.id)
        # tonic opens the file itself: it is compared after it was read
        if member.file.name:
            self._seen.check(member, file_sha256(member.file))
        else:
            self._check_unchanged()
        return sample

    @cached_property
    def _seen(self) -> SeenFiles:
        return SeenFiles()

    @cached_property
    def _states(self) -> dict[Path, tuple[int, ...]]:
        """File → its state when it was hashed, of data sets that have no file per sample."""
        return {}

    def _check_unchanged(self) -> None:
        for file, state in self._states.items():
            if _state(file) != state:
                raise changed(file)

    def digest(self, split: str, index: int) -> bytes:
        """Return a digest of what a sample was read from."""
        member = self._samples[split][index]
        sha256 = self._seen.get(member)
        return sample_digest(sha256, member.label, member.id, member.group) if sha256 else b""

    def provenance(self) -> dict[str, Any]:
        """Return the licence note, tonic's version, and one sha256 over the files of the samples."""
        offered = [member for members in self._samples.values() for member in members]
        files: list[Recording] = [member for member in offered if member.file.name]
        if not files:
            root = Path(next(iter(self._parts.values())).location_on_system)
            unpacked = [f for f in files_under(root, ()) if not f.name.endswith(_ARCHIVES)]
            files = [Recording("", f, 0, file_id(f, root)) for f in unpacked]
            self._states.update((f, _state(f)) for f in unpacked)
        facts: dict[str, Any] = {
            "licence": self.licence,
            "tonic": metadata.version("tonic"),
            "sha256": files_digest(files, self._seen),
        }
        if cut := cut_groups(offered):
            facts["findings"] = cut
        return facts | ({"note": self._note} if self._note else {})


@dataclass(frozen=True, kw_only=True)
class _Member(Recording):
    """A sample, with its data set and number in tonic."""

    part: Any
    number: int


class _Missing(Exception):
    """tonic tried to download files without permission."""


def _refuse(dataset: Any) -> None:
    raise _Missing


def _state(file: Path) -> tuple[int, ...]:
    """Return what changes when a file is written."""
    facts = file.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
