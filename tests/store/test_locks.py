"""Locks on artefact names."""

import threading
import time

from llamarec_cli.store.registry import Store


def test_a_second_process_waits_and_says_so(store: Store) -> None:
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


def test_only_locks_of_dead_processes_are_removed(store: Store) -> None:
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


def test_only_one_thread_at_a_time_holds_a_lock(store: Store) -> None:
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
