#!/usr/bin/env python3
"""A line to an object store, which can be bad: line.py HOST:PORT

Listens on a port of this machine, which it prints, and passes every request on as it came, with the host that the client
signed for. Each line of standard input says how bad it is to be from then on, `SHARE SEED KIND...`: of 1,000 requests, so
many go wrong in one of the ways of `KINDS`, and some others are late; which ones is drawn from the seed. It is answered by
what went through since the line before. With its standard input it ends. A line `clock SECONDS` sets the store's clock ahead
by so much, as far as it tells when an object was written.

For the tests: it owes nothing to the project's code.
"""
import datetime, email.utils, http.client, http.server, json, random, sys, threading, time

KINDS = {
    "refused": "answered with 503, 500 or 429, and not passed on",
    "cut": "the connection ends before anything is passed on",
    "lost": "passed on and carried out, and the connection ends before the answer",
    "torn": "passed on and carried out, and the connection ends in the middle of the answer's body",
}
REFUSALS = [(503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests")]


class Trouble:
    """What goes wrong, and what was counted."""

    def __init__(self):
        self.lock, self.under_way, self.ahead = threading.Lock(), 0, datetime.timedelta()
        self.become(0, "", [])

    def become(self, share, seed, kinds):
        self.share, self.kinds, self.chance = share, kinds, random.Random(seed)
        self.counts = {"requests": 0, "wrong": 0, "at_once": 0}

    def begins(self):
        """What happens to a request that has come."""
        with self.lock:
            self.under_way += 1
            self.counts["requests"] += 1
            self.counts["at_once"] = max(self.counts["at_once"], self.under_way)
            if self.chance.randrange(1000) < self.share:
                self.counts["wrong"] += 1
                return self.chance.choice(self.kinds), self.chance.choice(REFUSALS)
            is_late = self.share > 0 and self.chance.randrange(20) == 0
            return "late" if is_late else "passed on", None

    def ended(self):
        with self.lock:
            self.under_way -= 1

    def told(self, first, second, *kinds):
        with self.lock:
            counts = self.counts
            if first == "clock":
                self.ahead = datetime.timedelta(seconds=int(second))
            else:
                self.become(int(first), second, kinds)
            return counts

    def moved(self, time):
        moved = email.utils.parsedate_to_datetime(time) + self.ahead
        return email.utils.format_datetime(moved, usegmt=True)


class Line(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def meet(self):
        fate, refusal = trouble.begins()
        try:
            self.go_through(fate, refusal)
        finally:
            trouble.ended()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = meet

    def go_through(self, fate, refusal):
        if fate == "cut":
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fate == "refused":
            status, code = refusal
            said = f"<Error><Code>{code}</Code><Message>Not now.</Message></Error>".encode()
            self.answer(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(said)))], said)
            return
        if fate == "late":
            time.sleep(0.1)
        status, headers, body = self.passed_on(body)
        if fate == "lost":
            self.close_connection = True
        elif fate == "torn":
            self.close_connection = True
            self.answer(status, headers, body[: len(body) // 2])
        else:
            self.answer(status, headers, body)

    def passed_on(self, body):
        to = http.client.HTTPConnection(store, timeout=60)
        try:
            to.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "connection":
                    to.putheader(name, value)
            to.endheaders(body or None)
            answer = to.getresponse()
            got = answer.read()
        finally:
            to.close()
        headers = [(k, v) for k, v in answer.getheaders() if k.lower() not in ("connection", "transfer-encoding")]
        headers = [(k, trouble.moved(v) if k.lower() == "last-modified" else v) for k, v in headers]
        if self.command != "HEAD" and answer.status not in (204, 304) and not answer.getheader("Content-Length"):
            headers.append(("Content-Length", str(len(got))))
        return answer.status, headers, got

    def answer(self, status, headers, body):
        """In one piece: a client that waits for the rest would wait for the kernel too."""
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers_with(b"" if self.command == "HEAD" else body)

    def end_headers_with(self, body):
        self._headers_buffer.append(b"\r\n" + body)
        self.flush_headers()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request, client):
        """Clients that are killed or give up close their connections: no news."""


store, trouble = sys.argv[1], Trouble()
server = Server(("127.0.0.1", 0), Line)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
for line in sys.stdin:
    print(json.dumps(trouble.told(*line.split())), flush=True)
