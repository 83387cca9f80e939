# SPDX-License-Identifier: GPL-2.0-or-later
"""apply/kernel, with livepatches made by hand: transitions that hang, are reversed, interrupted, forced."""
import errno
import pathlib
import signal
import subprocess

import pytest

import hand_made
import lab
from hand_made import FORCED, Restless, Sleepy, Switch, Witness, cmdline, wait_for_transition

EXITS = {name: code for code, name in enumerate(lab.EXIT_NAMES)}


@pytest.fixture
def switch():
    return Switch()


@pytest.fixture
def sleepy():
    module = Sleepy()
    yield module
    module.close()


def assert_clean():
    assert not lab.livepatches()
    assert not [path for path in pathlib.Path("/sys/module").iterdir() if path.name.startswith("kcare")]
    assert "patched" not in cmdline()


def refused(result, error, *words):
    assert result.error == error, str(result)
    for word in words:
        assert word in result.out, str(result)
    return result


@pytest.mark.guests("6.1", "6.12")
def test_in_up_and_out(switch, sleepy):
    assert switch("level1").ok().load_ms > 0
    assert cmdline() == "patched by level 1"
    assert (lab.PROC / "level").read_text() == "1\n"
    assert refused(switch("level1"), "nothing-to-do").code == EXITS["nothing"]
    switch("level2").ok()
    assert cmdline() == "patched by level 2"
    assert switch.loaded() == {"kcare_livepatch_2": {"ours": "1", "enabled": "1", "transition": "0", "forced": "0",
                                                     "level": "2"}}
    assert not lab.is_loaded("kcare_livepatch_1")
    switch("unload").ok()
    assert_clean()
    assert refused(switch("unload"), "nothing-to-do").code == EXITS["nothing"]


@pytest.mark.parametrize("freezer", ["smart", "full", "none"])
def test_fifty_tasks_asleep_in_the_function(switch, sleepy, freezer):
    tasks, witness = sleepy.start(50), Witness(8)
    for result in (switch("level1", "--freezer", freezer).ok(), switch("unload", "--freezer", freezer).ok()):
        if freezer == "none":  # the kernel's own signal comes after 15 s
            assert result.n_interrupted == 0 and result.transition_ms >= 14000, str(result)
        else:
            assert result.n_interrupted >= 50 and result.transition_ms < 14000, str(result)
    assert_clean()
    assert not any(task.poll() for task in tasks)
    assert witness.saw_nothing() < 5
    sleepy.wake()


@pytest.mark.guests("6.1", "6.12")
@pytest.mark.parametrize("freezer", ["smart", "full"])
def test_who_is_moved_on_does_not_see_it(switch, sleepy, freezer):
    reader = Restless()
    assert switch("level1", "--freezer", freezer).ok().n_interrupted >= 1
    assert reader.process.poll() is None
    sleepy.wake()
    assert reader.saw() == 0


def state_of(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {line.split(":")[0]: line.split()[1] for line in status.splitlines() if len(line.split()) > 1}


def sleeping_child(pid):
    """strace has other children first, to try what ptrace can do."""
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            state = state_of(int(child))
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state["Name"] == "sleep" and state["State"] == "S":
            return int(child)
    return None


def test_everybody_is_left_as_he_was(switch, sleepy):
    stopped, traced = subprocess.Popen(["sleep", "600"]), subprocess.Popen(["strace", "-f", "-o", "/dev/null", "sleep", "600"])
    try:
        lab.wait_until(lambda: sleeping_child(traced.pid), what="the traced process")
        stopped.send_signal(signal.SIGSTOP)
        lab.wait_until(lambda: state_of(stopped.pid)["State"] == "T", what="the stopped process")
        for action in ("level1", "unload"):
            switch(action, "--freezer", "full").ok()
            assert state_of(stopped.pid)["State"] == "T" and state_of(stopped.pid)["TracerPid"] == "0"
            assert state_of(sleeping_child(traced.pid))["TracerPid"] == str(traced.pid)
        stopped.send_signal(signal.SIGCONT)
        lab.wait_until(lambda: state_of(stopped.pid)["State"] == "S", what="the process going on")
        assert stopped.poll() is None and traced.poll() is None
    finally:
        for process in (stopped, traced):
            process.kill()  # a strace that is killed lets its child go on
            process.wait(timeout=30)
        lab.run("killall", "sleep")


def test_the_kernels_own_signal_shows(switch, sleepy):
    """Why `none` is not the default."""
    reader = Restless()
    assert switch("level1", "--freezer", "none").ok().transition_ms >= 14000
    assert reader.saw() == errno.EINTR


def test_level_2_while_tasks_sleep_in_level_1(switch, sleepy):
    switch("level1").ok()
    sleepy.start(10)
    assert switch("level2").ok().n_interrupted >= 10
    assert cmdline() == "patched by level 2"


@pytest.mark.guests("6.1", "6.12")
def test_not_settled_is_taken_back_with_names_and_stacks(switch, sleepy):
    pids = [task.pid for task in sleepy.start(3, "kcare_deaf")]
    sleepy.hold_kernel_thread()
    result = refused(switch("level1", "--settle-ms", "3000"), "not-settled", "taken back: kcare_livepatch_1",
                     f"cat, task {', '.join(map(str, pids))}:", f"kernel thread sleepyd, task {sleepy.kernel_thread()}:",
                     "sleepy_wait+0x", "proc_reg_read+0x", "kthread+0x", "within 3.0 s", "--force")
    assert result.code == EXITS["busy"]
    assert_clean()


def test_level_2_that_does_not_settle_leaves_level_1(switch, sleepy):
    switch("level1").ok()
    sleepy.start(1, "kcare_deaf")
    refused(switch("level2", "--settle-ms", "2000"), "not-settled", "[kcare_livepatch_1]")
    assert cmdline() == "patched by level 1"
    assert not lab.is_loaded("kcare_livepatch_2")
    refused(switch("unload", "--settle-ms", "2000"), "not-settled", "did not switch to the old code")
    assert cmdline() == "patched by level 1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_takes_it_back(switch, sleepy, number):
    sleepy.start(1, "kcare_deaf")
    process = switch.start("level1")
    wait_for_transition("kcare_livepatch_1")
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == EXITS["busy"] and "taken back" in out and "interrupted" in out, out
    assert_clean()


def kill_in_transition(switch, action):
    process = switch.start(action)
    wait_for_transition(f"kcare_livepatch_{action[5:]}")
    process.kill()
    process.wait()


@pytest.mark.guests("6.1", "6.12")
def test_the_next_run_finishes_what_a_killed_one_left(switch, sleepy):
    sleepy.start(1, "kcare_deaf")
    kill_in_transition(switch, "level1")
    assert switch.loaded()["kcare_livepatch_1"]["transition"] == "1"
    refused(switch("level1", "--settle-ms", "2000"), "not-settled")
    assert_clean()
    kill_in_transition(switch, "level1")
    sleepy.wake()
    switch("level2").ok()
    assert cmdline() == "patched by level 2"
    assert not lab.is_loaded("kcare_livepatch_1")


def test_unload_after_a_killed_run(switch, sleepy):
    switch("level1").ok()
    sleepy.start(1, "kcare_deaf")
    kill_in_transition(switch, "level2")
    refused(switch("unload", "--settle-ms", "2000"), "not-settled", "kcare_livepatch_1")
    assert cmdline() == "patched by level 1"
    assert lab.livepatches() == ["kcare_livepatch_1"] and not lab.is_loaded("kcare_livepatch_2")
    sleepy.wake()
    switch("unload").ok()
    assert_clean()


def test_forced(switch, sleepy):
    sleepy.start(1, "kcare_deaf")
    result = switch("level1", "--settle-ms", "2000", "--force").ok()
    assert result.was_forced == 1
    assert cmdline() == "patched by level 1"
    assert switch.loaded()["kcare_livepatch_1"]["forced"] == "1"
    assert refused(switch("unload"), "forced", "reboot").code == EXITS["refused"]
    assert cmdline() == "patched by level 1"
    FORCED.write_text("of another boot\n")
    assert switch.loaded()["kcare_livepatch_1"]["forced"] == "0"


def test_pinned(switch, sleepy):
    switch("level3").ok()
    result = switch("unload").ok()
    assert "kcare_livepatch_3 is out of use but stays in memory" in result.out, str(result)
    assert "patched" not in cmdline() and not lab.livepatches()
    refused(switch("level3"), "module", "kcare_livepatch_3", "reboot")
    switch("level1").ok()
    assert cmdline() == "patched by level 1"
    pathlib.Path("/sys/module/kcare_livepatch_3/parameters/unpin").write_text("1")
    switch("unload").ok()
    assert_clean()


def test_somebody_elses_livepatch(switch, sleepy):
    lab.run("insmod", hand_made.module("foreign_livepatch")).ok()
    lab.wait_until(lambda: not lab.in_transition(), what="the foreign livepatch settled")
    refused(switch("level1"), "conflict", "foreign_livepatch", "echo 0 >")
    assert cmdline() == "patched by level 0"
    (lab.LIVEPATCH / "foreign_livepatch/enabled").write_text("0")
    lab.wait_until(lambda: not lab.livepatches() and lab.run("rmmod", "foreign_livepatch").code == 0,
                   what="the foreign livepatch gone")


def set_kprobe(place):
    """LATER: the first instruction behind the entry, which is not a tracer's."""
    events = TRACING / "kprobe_events"
    for offset in range(5, 32):
        try:
            events.write_text(f"p:kcare/spy {place.replace('LATER', str(offset))}")
        except OSError as problem:  # in the middle of an instruction
            if problem.errno != errno.EILSEQ:
                raise
        else:
            break
    (TRACING / "events/kcare/spy/enable").write_text("1")
    return offset


TRACING, DEBUG = pathlib.Path("/sys/kernel/tracing"), pathlib.Path("/sys/kernel/debug")


@pytest.fixture
def tracing():
    yield TRACING
    (TRACING / "current_tracer").write_text("nop")
    (TRACING / "set_ftrace_filter").write_text("")
    for path in TRACING.glob("events/kcare/enable"):
        path.write_text("0")
    (TRACING / "kprobe_events").write_text("")


@pytest.mark.guests("6.1", "6.12")
@pytest.mark.parametrize("place, function", [("cmdline_proc_show", "vmlinux:cmdline_proc_show"),
                                             ("cmdline_proc_show+LATER", "vmlinux:cmdline_proc_show"),
                                             ("sleepy:sleepy_wait", "sleepy:sleepy_wait")])
def test_kprobe(switch, sleepy, tracing, place, function):
    set_kprobe(place)
    refused(switch("level1"), "conflict", f"{function}: kprobe event kcare/spy at +0x")
    assert_clean()


def test_kprobe_is_seen_where_nothing_is_mounted(switch, sleepy, tracing):
    offset = set_kprobe("cmdline_proc_show+LATER")
    result = lab.run("unshare", "--mount", "sh", "-c", f"umount -l {DEBUG}; umount -l {TRACING}; test ! -e "
                     f"{TRACING}/README || exit 99; exec {' '.join(switch.command('level1'))}")
    assert result.code == EXITS["refused"] and f"kprobe event kcare/spy at +{offset:#x}" in result.out, str(result)


def test_kprobe_elsewhere_is_fine(switch, sleepy, tracing):
    set_kprobe("do_exit")
    switch("level1").ok()


@pytest.mark.guests("6.1", "6.12")
@pytest.mark.parametrize("tracer", ["function", "function_graph"])
def test_tracer(switch, sleepy, tracing, tracer):
    (tracing / "set_ftrace_filter").write_text("cmdline_proc_show")
    (tracing / "current_tracer").write_text(tracer)
    refused(switch("level1"), "conflict", "vmlinux:cmdline_proc_show: ", f"current_tracer is {tracer}")
    assert_clean()
    (tracing / "current_tracer").write_text("nop")
    switch("level1").ok()
    (tracing / "current_tracer").write_text(tracer)
    refused(switch("level2"), "conflict", "vmlinux:cmdline_proc_show: ", f"current_tracer is {tracer}")


@pytest.mark.guests("6.1", "6.12")
def test_bpf_program(switch, sleepy):
    import bpf

    with bpf.Fentry("cmdline_proc_show", "kcare_spy"):
        refused(switch("level1"), "conflict", "vmlinux:cmdline_proc_show: BPF program kcare_spy (id ")
    switch("level1").ok()


def test_another_kernel(switch, sleepy):
    refused(switch("level1", "--kernel-id", "0" * 40), "wrong-target", "000000000000", "is running")
    refused(switch("level1", "--build-id", "00ff"), "wrong-target", "build-id 00ff")
    assert_clean()


@pytest.mark.parametrize("command", [["unshare", "--pid", "--fork"], ["unshare", "--user", "--map-root-user"]])
def test_container(switch, command):
    result = lab.run(*command, *switch.command("level1"))
    assert result.code == EXITS["refused"] and "error container" in result.out, str(result)


def test_marks_of_containers(switch):
    mark = pathlib.Path("/run/.containerenv")
    mark.touch()
    try:
        refused(switch("level1"), "container")
    finally:
        mark.unlink()


def test_module_that_the_kernel_does_not_take(switch, tmp_path):
    refused(switch("level1"), "module", "Unknown symbol sleepy_")  # the module sleepy is not there
    assert_clean()
    cut = tmp_path / "kcare_livepatch_1.ko"
    cut.write_bytes(hand_made.module("kcare_livepatch_1").read_bytes()[:1000])
    result = lab.run("kernel_switch", "load", cut, hand_made.module("kcare"))
    assert result.code == EXITS["refused"] and "error module" in result.out, str(result)
    assert_clean()


def test_not_root(switch):
    result = lab.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all",
                     *switch.command("level1"))
    assert result.code == EXITS["refused"] and "error permission" in result.out and "root" in result.out, str(result)
    assert_clean()


@pytest.mark.limit(300)
def test_five_rounds_under_load(switch, sleepy, kernel_log):
    sleepy.start(20)
    busy = [subprocess.Popen(["sh", "-c", "while :; do cat /proc/cmdline /proc/self/stat >/dev/null; done"])
            for _ in range(2)]
    try:
        for _ in range(5):
            switch("level1").ok()
            switch("level2").ok()
            switch("unload").ok()
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert_clean()
    assert not [line for line in kernel_log() if "WARNING" in line or "BUG" in line]
