# SPDX-License-Identifier: GPL-2.0-or-later
"""libcare-ctl info, and the list of fixed CVEs: what is said of processes is what is true of them."""

import pytest

import hosts
import lab
from hosts import box, host  # noqa: F401 (fixtures)

VALUE = lab.edit("value.c", "return x * 3 + 1;", "return x * 3 + 2;", cve="CVE-2026-10001")
ONE = lab.edit("one.c", "return x + one_base;", "return x + one_base + 1;", cve="CVE-2026-9002")
BETTER = lab.edit("value.c", "return x * 3 + 1;", "return x * 3 + 3;", cve="CVE-2026-10001\nCVE: CVE-2026-10003")
OVERLAP = lab.edit(
    "hold.c", "{\n\tif (stay)\n\t\tblock();\n\treturn x + 1;", "{\n\tif (stay)\n\t\tblock();\n\treturn x + 2;",
    cve="CVE-2026-10004", header="Consistency: function\n")


@pytest.fixture
def value_file(worker, make_patch):
    return make_patch(worker, VALUE)


@pytest.fixture
def one_file(worker, make_patch):
    return make_patch(worker, ONE, "libone.so.1")


def build_id(build, elf):
    notes = lab.call(["readelf", "-n", str(build.run / elf)], build.folder)
    return next(line.split()[-1] for line in notes.splitlines() if "Build ID" in line)


def test_json_of_a_patched_process(host, worker, spawn, value_file, one_file):
    target = spawn(worker)
    assert set(host.info(target)) == {"pid", "comm"}, "nothing to tell yet"
    host.patch(target, value_file, one_file, wait=10)
    entry = host.info(target)
    assert entry["comm"] == "program" and entry["pid"] == target.pid
    assert entry["program"] == {
        "buildid": build_id(worker, "program"), "patchlvl": 1, "cve": ["CVE-2026-10001"], "patchset": "U20261123_01"}
    assert entry["libone.so.1"]["cve"] == ["CVE-2026-9002"]
    host.unpatch(target, wait=10)
    entry = host.info(target)
    assert entry["program"]["patchlvl"] == 0 and entry["program"]["cve"] == []
    assert entry["program"]["available"] == 1 and entry["program"]["missing"] == ["CVE-2026-10001"]


def test_text_names_who_is_not_patched(host, worker, box, spawn, value_file):
    patched, other = (spawn(worker, wrapper=box.enter) for _ in range(2))
    host.patch(patched, value_file, wait=10)
    result = host.ctl("info", prefix=box.enter)
    assert result.code == lab.DONE, result
    paragraphs = {int(p.split()[0]): p for p in result.out.split("pid ")[1:]}
    assert "patched: level 1 of U20261123_01; fixed: CVE-2026-10001" in paragraphs[box.pid_of(patched)]
    assert "NOT PATCHED: level 1 is known; missing: CVE-2026-10001" in paragraphs[box.pid_of(other)]
    assert "processes fixed: 1, not fixed: 1" in result.out


def test_a_higher_level_elsewhere_shows_who_is_behind(host, worker, spawn, make_patch, value_file):
    behind, ahead = spawn(worker), spawn(worker)
    host.patch(behind, value_file, wait=10)
    host.patch(ahead, make_patch(worker, BETTER, level=2), wait=10)
    entry = host.info(behind)["program"]
    assert entry["patchlvl"] == 1 and entry["available"] == 2 and entry["missing"] == ["CVE-2026-10003"]
    assert "available" not in host.info(ahead)["program"]
    # Only forward: the lower level is refused, and nothing changes.
    result = host.patch(ahead, value_file, code=lab.REFUSED)
    assert "unpatch first" in result.err
    assert host.info(ahead)["program"]["patchlvl"] == 2


def test_a_lost_patch_file_does_not_count(host, worker, spawn, value_file):
    target = spawn(worker)
    host.patch(target, value_file, wait=10)
    stored = list((host.root / "var/cache/kcare/userspace/patches").iterdir())
    assert [path.read_bytes() for path in stored] == [value_file.read_bytes()]
    content = stored[0].read_bytes()
    stored[0].unlink()
    entry = host.info(target)["program"]
    assert entry["patchlvl"] == 1 and entry["cve"] == [] and "not in" in entry["problem"]
    stored[0].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    entry = host.info(target)["program"]
    assert entry["cve"] == [] and "does not match its name" in entry["problem"]
    stored[0].write_bytes(content)
    assert host.info(target)["program"]["cve"] == ["CVE-2026-10001"]


def test_an_author_who_is_no_longer_trusted_does_not_count(host, worker, spawn, value_file):
    target = spawn(worker)
    host.patch(target, value_file, wait=10)
    for key in (host.root / "etc/sysconfig/kcare/keys").iterdir():
        key.unlink()
    result = host.ctl("info", "-p", target.pid, "-j")
    assert result.code == lab.DONE and "no author is trusted" in result.err, result
    entry = hosts.info_lines(result)[target.pid]["program"]
    assert entry["patchlvl"] == 1 and entry["cve"] == [] and "trusted" in entry["problem"]


def test_code_that_is_not_as_recorded_does_not_count(host, worker, spawn, value_file):
    """Somebody else wrote over the jump: the record alone proves nothing."""
    target = spawn(worker)
    host.patch(target, value_file, wait=10)
    [(offset, old, _)] = lab.text_changes(target.pid, worker.program)
    start, _, file_offset, _ = next(m for m in lab.executable_maps(target.pid) if m[3] == str(worker.program))
    with open(f"/proc/{target.pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(start + offset - file_offset)
        memory.write(old)
    entry = host.info(target).get("program", {})
    assert entry.get("cve", []) == [], entry


def test_a_thread_in_old_code_keeps_the_fix_from_counting(host, worker, spawn, make_patch):
    """`Consistency: function` lets old and new code overlap: until the thread has left, the hole is open."""
    target = spawn(worker)
    threads = set(lab.os.listdir(f"/proc/{target.pid}/task"))
    target.ask("enter plain")
    lab.wait_until(lambda: target.ask("inside") == 1, what="the thread blocks")
    [inside] = set(lab.os.listdir(f"/proc/{target.pid}/task")) - threads
    host.patch(target, make_patch(worker, OVERLAP), wait=5)
    entry = host.info(target)["program"]
    assert entry["patchlvl"] == 1 and entry["cve"] == [] and inside in entry["problem"].split(), entry
    assert "does not count" in host.ctl("info", "-p", target.pid).out
    target.ask("leave")
    target.ask("join")
    assert host.info(target)["program"]["cve"] == ["CVE-2026-10004"]


def test_errors_of_info(host, spawn, worker):
    gone = spawn(worker)
    gone.may_end = True
    gone.process.kill()
    gone.process.wait(20)
    for arguments, code in ((("-p", gone.pid), lab.INPUT), (("-p", "x"), lab.USAGE), (("-p", "-1"), lab.USAGE),
                            (("extra",), lab.USAGE), (("--no-such",), lab.USAGE)):
        result = host.ctl("info", *arguments)
        assert result.code == code and len(result.err.splitlines()) == 1, result


# ------------------------------------------------------------------------------------------------------ fixed CVEs


def test_a_cve_is_listed_only_when_every_process_is_fixed(host, worker, box, spawn, value_file, one_file):
    folder = lab.folder_of((value_file, one_file), host.root)
    first, second = spawn(worker, wrapper=box.enter), spawn(worker, wrapper=box.enter)

    def run(*arguments):
        result = host.ctl(*arguments, prefix=box.enter)
        assert result.code == lab.DONE, result
        return result

    assert "patched 2 processes" in run("patch", "-p", "all", folder, "--wait", 10).out
    assert hosts.cvelist(host) == ["CVE-2026-9002", "CVE-2026-10001"]
    run("unpatch", "-p", box.pid_of(second))
    assert hosts.cvelist(host) == []
    lines = hosts.info_lines(run("info", "-j"))
    assert lines[box.pid_of(second)]["program"]["missing"] == ["CVE-2026-10001"]
    # Only the library of the second process is fixed again.
    run("patch", "-p", box.pid_of(second), one_file, "--wait", 10)
    assert hosts.cvelist(host) == ["CVE-2026-9002"]
    # An unfixed process that ends no longer matters.
    second.may_end = True
    second.process.kill()
    lab.os.kill(second.pid, lab.signal.SIGKILL)
    third = spawn(worker, wrapper=box.enter)
    run("patch", "-p", box.pid_of(third), folder, "--wait", 10)
    assert hosts.cvelist(host) == ["CVE-2026-9002", "CVE-2026-10001"]
    assert first.ask("value 10") == 32 and third.ask("one 10") == 1011
    run("unpatch", "-p", "all", "--wait", 10)
    assert hosts.cvelist(host) == []


def test_patch_all_when_all_is_done_has_nothing_to_do(host, worker, box, spawn, value_file):
    spawn(worker, wrapper=box.enter)
    assert host.ctl("patch", "-p", "all", value_file, "--wait", 10, prefix=box.enter).code == lab.DONE
    result = host.ctl("patch", "-p", "all", value_file, prefix=box.enter)
    assert result.code == lab.NOTHING and "patched 0 processes" in result.err, result
    assert hosts.cvelist(host) == ["CVE-2026-10001"]


def test_exit_code_of_all_is_the_worst_that_needs_attention(host, worker, box, spawn, make_patch):
    """One is patched, one is busy: the run says both and ends with busy; the busy one keeps the CVE off."""
    strict = make_patch(worker, lab.edit(
        "hold.c", "{\n\tif (stay)\n\t\tblock();\n\treturn x + 1;", "{\n\tif (stay)\n\t\tblock();\n\treturn x + 2;"))
    free, busy = spawn(worker, wrapper=box.enter), spawn(worker, wrapper=box.enter)
    busy.ask("enter plain")
    lab.wait_until(lambda: busy.ask("inside") == 1, what="the thread blocks")
    result = host.ctl("patch", "-p", "all", strict, "--wait", 0.5, prefix=box.enter)
    assert result.code == lab.BUSY and "patched 1 process; busy: 1" in result.err, result
    assert f"busy: pid {box.pid_of(busy)}: " in result.err
    assert hosts.cvelist(host) == []
    busy.ask("leave")
    busy.ask("join")
    result = host.ctl("patch", "-p", "all", strict, "--wait", 10, prefix=box.enter)
    assert result.code == lab.DONE and "patched 1 process" in result.out, result
    assert hosts.cvelist(host) == ["CVE-2026-10001"]
    assert free.ask("hold plain") == busy.ask("hold plain")


def test_an_unreadable_process_is_named_and_keeps_the_list_empty(host, worker, box, spawn, value_file):
    """Without the right to read others, nothing is said to be fixed."""
    target = spawn(worker, wrapper=box.enter)
    assert host.ctl("patch", "-p", "all", value_file, "--wait", 10, prefix=box.enter).code == lab.DONE
    less = (*box.enter, "setpriv", "--reuid=65534", "--clear-groups", "--")
    result = host.ctl("info", "-j", prefix=less)
    assert result.code == lab.DONE, result
    assert "permission" in hosts.info_lines(result)[box.pid_of(target)]["error"]


WITHOUT_MAIN_THREAD = """
#include <pthread.h>
#include <unistd.h>
static void *stay(void *unused) { (void)unused; for (;;) pause(); }
int main(void)
{
	pthread_t thread;
	pthread_create(&thread, 0, stay, 0);
	pthread_exit(0);
}
"""


def test_a_process_without_its_main_thread_is_named(host, box, tmp_path):
    """/proc says that it has ended, but its other threads run what nobody can look into."""
    (tmp_path / "program.c").write_text(WITHOUT_MAIN_THREAD)
    lab.call(["gcc", "program.c", "-o", "program"], tmp_path)
    with lab.subprocess.Popen([*box.enter, tmp_path / "program"]) as process:
        try:
            def errors():
                return [line for line in hosts.info_lines(host.ctl("info", "-j", prefix=box.enter)).values()
                        if line["comm"] == "program" and "has ended" in line.get("error", "")]

            lab.wait_until(errors, what="the process is named")
        finally:
            process.kill()  # of nsenter; the box ends what it started
