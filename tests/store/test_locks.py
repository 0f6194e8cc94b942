"""Who makes what: one at a time, and what the dead left is swept."""

import threading
import time

from artefact_makers import ALIVE, DEAD, left_overs, make
from filelock import FileLock

from llamarec_cli.store.registry import Store


def test_what_a_dead_process_left_is_swept(store: Store) -> None:
    make(store, "first")
    staging = store.home / "staging"
    dead, alive = staging / DEAD, staging / ALIVE
    for folder in (dead, alive):
        (folder / "deep").mkdir(parents=True)
        (staging / f"{folder.name}.lock").touch()
    with FileLock(staging / f"{ALIVE}.lock"):
        make(store, "games")
        assert left_overs(store) == [alive]
    make(store, "other")
    assert not list(staging.iterdir())


def test_a_lock_without_a_folder_is_swept_unless_it_is_held(store: Store) -> None:
    make(store, "first")
    dead, alive = (store.home / "staging" / f"{owner}.lock" for owner in (DEAD, ALIVE))
    dead.touch()
    with FileLock(alive):
        store.tidy()
        assert [path.name for path in (store.home / "staging").iterdir()] == [alive.name]
    store.tidy()
    assert not list((store.home / "staging").iterdir())


def test_who_makes_the_same_waits_and_says_so(store: Store) -> None:
    said: list[str] = []
    other = Store(store.home)
    finished: list[str] = []

    def second() -> None:
        with other.making("games/lrurec", said.append):
            finished.append("second")

    thread = threading.Thread(target=second)
    with store.making("games/lrurec", said.append), store.making("games/lrurec", said.append):
        thread.start()
        while not said:
            time.sleep(0.01)
        finished.append("first")
    thread.join()
    assert finished == ["first", "second"]
    assert said == ["Waiting for another process that is creating games/lrurec."]
    assert not list((store.home / "locks").iterdir())


def test_locks_of_the_dead_are_swept_and_nothing_else(store: Store) -> None:
    with store.making("games/lrurec", lambda _: None):
        locks = store.home / "locks"
        (locks / "games--dead.lock").touch()
        theirs = [locks / "Keys.lock", locks / "notes.txt", locks / "games.lock"]
        for file in theirs:
            file.write_text("precious")
        (locks / "link.lock").symlink_to(locks / "notes.txt")
        Store(store.home).tidy()
        assert {path.name for path in locks.iterdir()} == {
            "games--lrurec.lock",
            "link.lock",
            *(file.name for file in theirs),
        }
        assert all(file.read_text() == "precious" for file in theirs)


def test_many_who_make_the_same_make_it_one_after_the_other(store: Store) -> None:
    inside, most = [0], [0]

    def one() -> None:
        other = Store(store.home)
        for _ in range(5):
            with other.making("games", lambda _: None):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                other.tidy()
                inside[0] -= 1

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert not list((store.home / "locks").iterdir())
