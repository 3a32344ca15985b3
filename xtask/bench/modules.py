"""A package of real modules: copies of the standard library's own.

`modules.py DIRECTORY COUNT` makes the package `many` in DIRECTORY, with the
modules `m000` and on, and `main.py`, which imports all of them. The library's
files are taken in sorted order, top-level modules before those of packages,
so the same Python gives the same package; when there are fewer than COUNT,
they are taken again from the first. Left out is what uses relative imports
(a copy has other neighbours), what does not import on its own, and what does
anything but define names when imported: each copy is tried in a process of
its own, and all together in one at the end.
"""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig

# Nothing that a program would have among its imports: codecs and grammar
# tables, build tools, programs' own modules, tests, demonstrations.
LEFT_OUT = {
    "__phello__", "__pycache__", "antigravity", "dist-packages", "distutils",
    "encodings", "ensurepip", "idlelib", "lib-dynload", "lib2to3",
    "pydoc_data", "site-packages", "test", "tests", "this", "tkinter",
    "turtle", "turtledemo",
}

# Runs in the process that tries imports: a status other than 0, or a word on
# stdout or stderr, and the module is not taken. Audit events tell what it does
# (https://docs.python.org/3/library/audit_events.html).
TRIAL = """
import os, sys, threading

def watch(event, arguments):
    words = event.split(".")
    if words[0] in {"subprocess", "webbrowser", "shutil", "tempfile"} or event in {
        "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system",
        "os.putenv", "os.chdir", "os.kill", "os.remove", "os.rename", "os.mkdir",
        "socket.bind", "socket.connect", "socket.getaddrinfo", "_thread.start_new_thread",
    } or event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        os.write(2, event.encode())
        os._exit(1)

before = threading.active_count()
sys.addaudithook(watch)
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    __import__("many." + name)
# Threads that no audit event tells of.
sys.exit(threading.active_count() != before or len(os.listdir("/proc/self/task")) != 1)
"""


def sources():
    """The library's files, top-level ones first, each group sorted."""
    library = sysconfig.get_path("stdlib")
    found = []
    for directory, directories, files in os.walk(library):
        directories[:] = [name for name in directories if name not in LEFT_OUT]
        for file in files:
            stem, extension = os.path.splitext(file)
            if extension == ".py" and stem not in LEFT_OUT and stem != "__main__":
                found.append(os.path.relpath(os.path.join(directory, file), library))
    found.sort(key=lambda path: (path.count("/"), path))
    return [os.path.join(library, path) for path in found]


def stands_alone(source):
    """Whether the file has no relative import, in functions neither."""
    with open(source, "rb") as file:
        tree = ast.parse(file.read())
    return not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))


def objection(directory, names):
    """What a fresh process has against importing the modules; None if nothing."""
    trial = subprocess.run(
        [sys.executable, "-B", "-c", TRIAL, directory, *names],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
    )
    if trial.returncode == 0 and not trial.stdout:
        return None
    return f"status {trial.returncode}: {trial.stdout.decode(errors='replace').strip()}"


def main(directory, count):
    package = os.path.join(directory, "many")
    os.makedirs(package)
    open(os.path.join(package, "__init__.py"), "w").close()
    paths = [os.path.join(package, f"m{number:03}.py") for number in range(count)]
    names = [f"m{number:03}" for number in range(count)]
    taken = []
    for source in sources():
        if len(taken) == count:
            break
        if not stands_alone(source):
            continue
        place = len(taken)
        shutil.copyfile(source, paths[place])
        against = objection(directory, [names[place]])
        if against is None:
            taken.append(paths[place])
        else:
            os.remove(paths[place])
            print(f"left out: {source}: {against}")
    if not taken:
        sys.exit(f"none of the modules in {sysconfig.get_path('stdlib')} can be taken")
    for number in range(len(taken), count):
        shutil.copyfile(taken[number % len(taken)], paths[number])
    against = objection(directory, names)
    if against is not None:
        sys.exit(f"the modules of {package} do not import cleanly together: {against}")
    with open(os.path.join(directory, "main.py"), "w") as file:
        file.writelines(f"import many.{name}\n" for name in names)
    print(f"{count} modules from {len(taken)} of the library's files")


main(sys.argv[1], int(sys.argv[2]))
