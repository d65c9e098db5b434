"""One of PBS's commands, as its own file's name says; `fake_pbs_server.py` does the work."""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

NAME, GIVEN = Path(__file__).name, sys.argv[1:]
FOLDER = Path(__file__).parent.parent
TOLD = "Couldn't connect to cluster: fakepbs" if NAME == "qdel" else ""
TOLD = TOLD or f"{NAME}: cannot connect to server fakepbs (errno=15010)"
caught: list[int] = []


def ask(request: dict) -> dict | None:
    """The server's answer; None if it is down."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            folder = os.open(FOLDER, os.O_PATH)
            connection.connect(f"/proc/self/fd/{folder}/socket")  # its address must be short
            connection.sendall(json.dumps(request).encode())
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        except OSError:
            answer = b""
    return json.loads(answer) if answer else None


def main() -> int:
    request = {"command": NAME, "arguments": GIVEN, "environment": dict(os.environ)}
    request |= {"folder": os.getcwd(), "session": os.getsid(0)}
    answer = ask(request | {"first": True})
    while answer and "again" in answer:  # what the command waits for has not happened yet
        if answer.get("stdin"):
            answer["again"]["script"] = sys.stdin.read()
        else:
            time.sleep(0.03)
        if NAME == "pbsdsh":
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, lambda number, frame: caught.append(number))
        sys.stdout.write(answer.pop("output", ""))
        sys.stdout.flush()
        answer = ask(request | answer["again"] | {"first": False, "caught": caught})
    if answer is None and GIVEN == ["--version"]:  # a command knows its own
        answer = {"status": 0, "output": "pbs_version = 23.06.06\n", "error": ""}
    elif answer is None:
        told = f"Connection refused\n{TOLD}\n"
        answer = {"status": 255 if NAME == "qstat" else 162, "output": "", "error": told}
    if answer.get("kills"):
        os.kill(os.getppid(), signal.SIGKILL)
    sys.stderr.write(answer["error"])
    sys.stdout.write(answer["output"])
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(answer.get("hangs", 0))
    return answer["status"]


if __name__ == "__main__":
    sys.exit(main())
