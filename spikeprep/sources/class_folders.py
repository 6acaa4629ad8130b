"""Files with labels in a folder per class, and in folders of splits around them."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError, printable
from ..store.outputs import is_store
from ..text import listed
from .class_names import check_spellings, naming
from .frame_sequences import with_sequences
from .labelled_files import Entry, file_id, files_in, files_under, has_ending
from .other_files import describe_other
from .split_names import KNOWN_NAMES, is_split_like, is_split_word, split_named

_HEADER = ".hea"  # of PhysioNet's headers, which files of the same name with other endings belong to
# what a source reads, as in `FileKind.group`
_GROUPS = {"images": "image", "videos": "image", "recordings": "events"}


@dataclass(frozen=True)
class ClassFolders:
    """Reads ``CLASS/…`` and ``SPLIT/CLASS/…`` below a folder, or refuses what may mean either.

    ``SPLIT/SPLIT/CLASS/…`` is read too, as archives of Kaggle and N-CARS (``n-cars_train/train/…``) are unpacked.
    Folders whose names begin with ``_`` or ``.`` are ignored, and so are spike stores. Below the folder of a class
    files may be at any depth.

    Attributes
    ----------
    root
        The folder.
    what
        Plural noun for the files in messages.
    suffixes
        Endings of their names; empty: any.
    class_names
        Names of the classes where they are given; they tell classes from splits.
    sequences
        Whether a folder of pictures below that of a class is one sample.
    findings
        What deserves the user's attention, one text each, after `read`.
    notes
        What was decided from the folders, likewise.
    """

    root: Path
    what: str
    suffixes: Sequence[str]
    class_names: Sequence[str] = ()
    sequences: bool = False
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _walked: dict[Path, list[Path]] = field(default_factory=dict, init=False, repr=False)

    def read(self) -> list[Entry]:
        """Return the files; raises `DataError` where classes are without files or folders cannot be told apart."""
        folders = self._folders(self.root)
        self._report_loose(self.root)
        split_like = [f for f in folders if is_split_like(f.name)]
        if not split_like or {printable(f.name) for f in folders} <= set(self.class_names):
            self._report_splits(split_like)
            return self._classes(folders)
        filled = [f for f in folders if self._files(f)]
        others = [f for f in filled if f not in split_like]
        empty = [f for f in split_like if f not in filled]
        split_like = [f for f in split_like if f in filled]
        if not split_like or (len(split_like) == 1 and others and not self._class_files(split_like[0])):
            return self._classes(folders if others else ())  # a class of trains
        splits = {split_named(f.name): f for f in split_like}
        if others or None in splits or len(splits) < len(split_like):
            raise self._refusal(split_like, others)
        for folder in empty:
            if split_named(folder.name) == "train":
                raise self._empty(folder)
            self.findings.append(f"{folder.name} has no {self.what}")
        for folder in splits.values():
            if (inner := self._inner(folder)) != folder:
                self.notes.append(f"the classes of {folder.name} are read from {file_id(inner, self.root)}")
                self._report_loose(folder)
        return self._splits({str(split): self._inner(folder) for split, folder in splits.items()})

    def _classes(self, folders: Sequence[Path]) -> list[Entry]:
        """Return the files of folders of classes, without a split."""
        entries = []
        if len(folders) > 1 and not self.class_names:
            self._check_parts(folders)
        for folder in folders:
            files = self._files(folder)
            if not files:
                raise self._empty(folder)
            if len(folders) == 1 and not self.class_names:
                self._check_depth(folder, files)
            entries += self._entries("", folder, files)
        return entries

    def _splits(self, folders: dict[str, Path]) -> list[Entry]:
        """Return the files of split → its folder."""
        entries: list[Entry] = []
        for split, folder in folders.items():
            class_files = self._class_files(folder)
            if not class_files:
                classes = sorted(f.name for f in folders.values())
                raise DataError(
                    f"{folder} has {self.what} and no folders of classes",
                    f"{folder.name}/CLASS/…",
                    f"Put the {self.what} of each class in a folder, or list the files in a CSV file of "
                    f"path,label,split; if these folders are classes, {naming(classes)}.",
                )
            self._report_loose(folder)
            for class_folder, files in class_files:
                if not files and split == "train":
                    raise self._empty(class_folder)
                entries += self._entries(split, class_folder, files)
        if not self.class_names:
            check_spellings({entry.label for entry in entries}, str(self.root))
            for folder in folders.values():
                self._check_parts([inner for inner, _ in self._class_files(folder)])
        self._check_same_classes(entries, folders)
        if len({entry.label for entry in entries}) == 1 and not self.class_names:
            for folder in folders.values():
                for class_folder, files in self._class_files(folder):
                    self._check_depth(class_folder, files)
        return entries

    def _entries(self, split: str, folder: Path, files: Sequence[Path]) -> list[Entry]:
        """Return the files of a class; raises `DataError` where they are in folders of splits."""
        if not self.class_names:
            for inner in sorted({os.path.dirname(file) for file in files} - {str(folder)}):
                part = next((p for p in Path(inner).relative_to(folder).parts if is_split_word(p)), None)
                if part is not None:
                    raise DataError(
                        f"{inner} is a folder {part!r} below {folder.name}, which would be a class",
                        f"folders of splits around those of classes: {part}/CLASS/…",
                        "Move the folders, give the folder that holds those of the splits as source=FOLDER, or, if "
                        f"{folder.name} is a class, name all classes: {naming(self._every_class(split))}.",
                    )
        self._report_others(folder)
        label = printable(folder.name)
        return [Entry(split, f, label, file_id(f, self.root)) for f in files]

    def _inner(self, folder: Path) -> Path:
        """Return the folder of a split, or the only one in it, named as the same split, where that has the classes."""
        folders = self._folders(folder)
        if len(folders) != 1 or not self._parts(folders[0]):
            return folder
        inner = folders[0]
        same = is_split_word(inner.name) and split_named(inner.name) == split_named(folder.name)
        return inner if inner.name == folder.name or same else folder

    def _report_splits(self, folders: Sequence[Path]) -> None:
        """Record classes, as they are named, that may be splits: each has folders alone."""
        parts = [self._parts(folder) for folder in folders]
        if len(folders) > 1 and all(parts):
            self._report_parts(folders, set().union(*filter(None, parts)))

    def _report_parts(self, folders: Sequence[Path], parts: Collection[str]) -> None:
        names = sorted(printable(folder.name) for folder in folders)
        self.findings.append(
            f"{listed(names)} are taken as the classes of {folders[0].parent.name}; all of them have folders alone: "
            f"{listed(sorted(parts))}"
        )

    def _parts(self, folder: Path) -> set[str] | None:
        """Return the names of the folders in a folder that have its files; None where some are directly in it."""
        files = self._files(folder)
        if any(file.parent == folder for file in files):
            return None
        return {file.relative_to(folder).parts[0] for file in files}

    def _every_class(self, split: str) -> list[str]:
        """Return the names of the folders of classes, in one split or, with splits, in all of them."""
        splits = [self._inner(f) for f in self._folders(self.root) if split_named(f.name)]
        around = splits if split else [self.root]
        return sorted({printable(inner.name) for folder in around for inner in self._folders(folder)})

    def _folders(self, folder: Path) -> list[Path]:
        """Return the folders in a folder that are not ignored, sorted."""
        return [
            f
            for f in files_in(folder)
            if f.is_dir() and not f.name.startswith(("_", ".")) and not is_store(f)
        ]

    def _all_files(self, folder: Path) -> list[Path]:
        """Return the files below a folder, whatever their endings; it is walked once."""
        if folder not in self._walked:
            self._walked[folder] = files_under(folder, ())
        return self._walked[folder]

    def _files(self, folder: Path) -> list[Path]:
        """Return the files below a folder that the source reads."""
        files = [file for file in self._all_files(folder) if has_ending(file.name, self.suffixes)]
        return with_sequences(folder, files) if self.sequences else files

    def _class_files(self, folder: Path) -> list[tuple[Path, list[Path]]]:
        """Return each folder in a folder with its files; empty where none has any."""
        found = [(inner, self._files(inner)) for inner in self._folders(folder)]
        return found if any(files for _, files in found) else []

    def _report_loose(self, folder: Path) -> None:
        """Record files that are in no folder of a class, where their names tell them from others."""
        loose = [f for f in files_in(folder) if self.suffixes and has_ending(f.name, self.suffixes)]
        number = sum(not f.name.startswith(".") and f.is_file() for f in loose)
        if number:
            self.findings.append(
                f"left out: {_some(number, self.what)}, directly in {folder.name}, in no folder of a class"
            )

    def _check_parts(self, folders: Sequence[Path]) -> None:
        """Compare the folders in folders that have nothing else: they may be folds, or groups, of classes.

        Raises `DataError` where all have the same ones, and records others.
        """
        inner = []
        for folder in folders:
            parts = self._parts(folder)
            if parts is None:
                return
            inner += [parts] if parts else []
        every = sorted(set().union(*inner))
        if len(inner) < 2 or len(every) < 2 or any(map(is_split_word, every)):
            return
        above, names = folders[0].parent, sorted(printable(f.name) for f in folders)
        if all(same == inner[0] for same in inner):
            part = (
                "give the folder of one part as source=FOLDER, name the parts train, validation and test, or"
            )
            raise DataError(
                f"{above} has the folders {listed(names)}, and each of them has {listed(every)}",
                "a folder for each class",
                f"If {listed(every)} are the classes, {part if above == self.root else 'move them one level up, or'} "
                f"list the files in a CSV file of path,label,group; if {listed(names)} are, "
                f"{naming(self._every_class('' if above == self.root else above.name))}.",
            )
        self._report_parts(folders, every)

    def _report_others(self, folder: Path) -> None:
        """Record the files of a class that have other endings than those that are read."""
        files = self._all_files(folder)
        headers = {file.with_suffix("") for file in files if file.suffix.lower() == _HEADER in self.suffixes}
        others = [
            file
            for file in files
            if not has_ending(file.name, self.suffixes) and file.with_suffix("") not in headers
        ]
        if others:
            self.findings.append(
                f"left out: {_some(len(others), 'files')} in {folder.name}, of other endings than "
                f"{' '.join(self.suffixes)}, such as {others[0].name}"
            )

    def _check_depth(self, folder: Path, files: Sequence[Path]) -> None:
        """Raise `DataError` where the only class has all its files in further folders, which may be the classes."""
        if not files or any(file.parent == folder for file in files):
            return
        inner, above = sorted({file.relative_to(folder).parts[0] for file in files}), folder.parent
        splits = "classes or splits" if above == self.root else "classes"
        fix = f"give that folder: source={folder}" if above == self.root else f"move them to {above}"
        raise DataError(
            f"{above} has one folder, {folder.name}, which has the folders {listed(inner)}",
            "a folder for each class",
            f"If these are {splits}, {fix}. If {folder.name} is the only class, {naming([folder.name])}.",
        )

    def _check_same_classes(self, entries: Sequence[Entry], folders: dict[str, Path]) -> None:
        """Raise `DataError` where a split has classes that the training split lacks: a name is spelled otherwise."""
        if "train" not in folders or self.class_names:
            return
        known = {entry.label for entry in entries if entry.split == "train"}
        for split, folder in folders.items():
            more = sorted({entry.label for entry in entries if entry.split == split} - known)
            if more:
                raise DataError(
                    f"{folder} has the classes {listed(more)}, which {folders['train']} lacks",
                    f"the classes {listed(sorted(known))}",
                    "Give folders of a class the same name in every split; if training shall lack these, name all "
                    f"classes: {naming(sorted(known | set(more)))}.",
                )

    def _empty(self, folder: Path) -> DataError:
        ending = f"files ending in {' '.join(self.suffixes)}" if self.suffixes else "at least one file"
        there, fix = describe_other(self._all_files(folder), _GROUPS.get(self.what, ""))
        fix = fix or f"Put the {self.what} of the class there, or remove the folder."
        return DataError(f"{folder} has no {self.what}{there}", ending, fix)

    def _refusal(self, split_like: Sequence[Path], others: Sequence[Path]) -> DataError:
        """Return the error for folders that are not clearly those of splits, each once, and nothing else."""
        names = [folder.name for folder in split_like]
        beside = f" beside {listed([folder.name for folder in others])}" if others else ""
        unclear = [name for name in names if split_named(name) is None]
        if unclear:
            fix = f"Rename {listed(unclear)} to train, validation or test, or move it away"
        elif others:
            fix = "Leave there the folders of splits alone"
        else:
            fix = "Move the folders of classes into one folder for each split"
        folders = (*split_like, *others)
        parts = [self._parts(folder) for folder in folders]
        if not (parts[0] and all(same == parts[0] for same in parts)):  # else they are not the classes
            fix += f"; if all of these are classes, {naming(sorted(printable(f.name) for f in folders))}"
        return DataError(
            f"{self.root} has the folders {listed(names)}{beside}",
            f"one folder for each split and nothing else ({KNOWN_NAMES}), or folders of classes",
            f"{fix}.",
        )


def _some(number: int, what: str) -> str:
    """Return "one of the images", or "2 of the images"."""
    return f"{number:,} of the {what}" if number > 1 else f"one of the {what}"
