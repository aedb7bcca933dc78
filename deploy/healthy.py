"""Exit code 0 if http://127.0.0.1:PORT/PATH answers 200. Run every few seconds in every container: it imports almost
nothing (`python -I -S`), which is a fifth of the work of an HTTP client."""

import socket
import sys

port, path = int(sys.argv[1]), sys.argv[2]
with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    sys.exit(0 if connection.recv(64).split(b" ")[1:2] == [b"200"] else 1)
