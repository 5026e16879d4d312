"""A laboratory for networks: namespaces that are gone with the process, servers on loopback, shell."""
import hashlib
import http.server
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

import machine

INSIDE = 'MYNA_NETLAB'


def enter(*tools):
    """Runs the test again in namespaces of its own: network, mounts; with root's rights inside."""
    if os.environ.get(INSIDE):
        run('ip link set lo up')
        run('mount -t tmpfs tmpfs /run')
        os.makedirs('/run/netns', exist_ok=True)
        return
    for tool in ('ip', 'unshare', *tools):
        if not shutil.which(tool, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin'):
            machine.skip(f'{tool} is not installed')
    flags = ['-n', '-m'] if os.getuid() == 0 else ['-r', '-n', '-m']
    if subprocess.run(['unshare', *flags, 'true'], capture_output=True).returncode != 0:
        machine.skip('network namespaces are not allowed here (root can, or user namespaces)')
    os.environ[INSIDE] = '1'
    os.environ['PATH'] += ':/usr/sbin:/sbin'
    sys.stdout.flush()
    os.execvp('unshare', ['unshare', *flags, sys.executable, *sys.argv])


def need_tun():
    try:
        os.close(os.open('/dev/net/tun', os.O_RDWR))
    except OSError as error:
        machine.skip(f'no tap interfaces: /dev/net/tun: {error.strerror}')


def run(command, check=True):
    """A line of shell; returns what it prints."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise machine.Failure(f'{command}: {done.stderr.strip()}')
    return done.stdout


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Web:
    """Serves a blob at /blob, and at /part/N what part(N) is; takes uploads by PUT and by plain TCP."""

    def __init__(self, size, address='127.0.0.1', port=0):
        self.blob = os.urandom(size)
        self.md5 = hashlib.md5(self.blob).hexdigest()
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                data = web.part(int(self.path.split('/')[2])) if self.path.startswith('/part/') else web.blob
                self.send_response(200)
                self.send_header('Content-Length', str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *unused):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128

        self.server = Server((address, port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def part(n):
        return bytes((n * 31 + i * 7 + (i >> 8)) & 255 for i in range(50000 + n * 1000))


class Sink:
    """Takes one connection and keeps what came."""

    def __init__(self, address='127.0.0.1'):
        self.listener = socket.create_server((address, 0))
        self.port = self.listener.getsockname()[1]
        self.data = b''
        self.thread = threading.Thread(target=self._take, daemon=True)
        self.thread.start()

    def _take(self):
        peer, _ = self.listener.accept()
        chunks = []
        while chunk := peer.recv(1 << 18):
            chunks.append(chunk)
        self.data = b''.join(chunks)

    def md5(self):
        self.thread.join(20)
        return hashlib.md5(self.data).hexdigest()


class Names:
    """A DNS server for one name, on loopback; and this namespace's resolv.conf says so."""

    def __init__(self, name, address):
        self.name, self.address = name, socket.inet_aton(address)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(('127.0.0.1', 53))
        self.asked = 0
        with tempfile.NamedTemporaryFile('w', delete=False) as f:
            f.write('nameserver 127.0.0.1\n')
        os.chmod(f.name, 0o644)
        run(f'mount --bind {f.name} $(readlink -f /etc/resolv.conf)')
        os.unlink(f.name)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            query, peer = self.sock.recvfrom(1500)
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            kind, = struct.unpack('>H', query[at + 1:at + 3])
            question = query[12:at + 5]
            found = '.'.join(labels).lower() == self.name and kind == 1
            self.asked += found
            code = 0x8180 if '.'.join(labels).lower() == self.name else 0x8183
            answer = query[:2] + struct.pack('>HHHHH', code, 1, int(found), 0, 0) + question
            if found:
                answer += b'\xc0\x0c' + struct.pack('>HHIH', 1, 1, 60, 4) + self.address
            self.sock.sendto(answer, peer)


class Echo:
    """Sends back what it gets, in capitals."""

    def __init__(self):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            peer, _ = self.listener.accept()
            threading.Thread(target=self._talk, args=(peer,), daemon=True).start()

    @staticmethod
    def _talk(peer):
        while data := peer.recv(65536):
            peer.sendall(data.upper())


def main(tests):
    """As machine.main, but each test in a process, and so in namespaces, of its own."""
    names = sys.argv[2:] or list(tests)
    if len(names) == 1:
        machine.main(tests)
        return
    results = [subprocess.run([sys.executable, sys.argv[0], sys.argv[1], name]).returncode for name in names]
    failed = [r for r in results if r not in (0, machine.SKIP)]
    sys.exit(failed[0] if failed else machine.SKIP if all(results) else 0)
