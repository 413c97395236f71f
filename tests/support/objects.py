#!/usr/bin/env python3
"""Looks at what lies below an URL of an object store, and changes it: objects.py list|dump|put|delete URL [DIRECTORY]

`put` makes what lies there what the directory holds. `objects.py remove URL` deletes the one object that the URL names.
`objects.py lock URL` makes the bucket of an S3 URL, with object lock: each version is kept for a day, whoever wants it gone.
`objects.py revive URL` takes back what deleted objects there.

For the tests: it owes nothing to the project's code. Requests are signed as the stores' protocols want it: version 4 for S3,
Shared Key for Azure; the keys come from the environment, under the names that the stores' own tools use.
"""
import base64, datetime, email.utils, hashlib, hmac, http.client, os, pathlib, sys, urllib.parse
import xml.etree.ElementTree as xml


def mac(key, text, algorithm=hashlib.sha256):
    return hmac.new(key, text.encode(), algorithm).digest()


class Store:
    def __init__(self, url):
        kind, rest = url.split("+http://")
        self.is_azure = kind == "az"
        self.host, path = rest.split("/", 1)
        parts = path.split("/", 2 if self.is_azure else 1)
        self.prefix = parts.pop()
        self.root = "/" + "/".join(parts)
        self.connection = http.client.HTTPConnection(self.host, timeout=30)

    def request(self, method, path, query=(), more={}, body=b""):
        path = urllib.parse.quote(path, safe="/-_.~")
        query = sorted(query)
        headers = self.azure(method, path, query, body) if self.is_azure else self.s3(method, path, query, more, body)
        text = "&".join(f"{k}={urllib.parse.quote(v, safe='-_.~')}" for k, v in query)
        self.connection.request(method, f"{path}?{text}" if text else path, body=body or None, headers=headers)
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.status >= 300 and not (method == "DELETE" and answer.status == 404):
            raise SystemExit(f"{method} {path}: {answer.status} {said[:300]!r}")
        return said

    def azure(self, method, path, query, body):
        account = self.root.split("/")[1]
        headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2020-12-06"}
        if method == "PUT":
            headers = {"x-ms-blob-type": "BlockBlob"} | headers
        length = str(len(body)) if body else ""
        lines = [method, "", "", length, *[""] * 8, *(f"{k}:{v}" for k, v in sorted(headers.items())), f"/{account}{path}"]
        lines += [f"{k}:{v}" for k, v in query]
        tag = mac(base64.b64decode(os.environ["AZURE_STORAGE_KEY"]), "\n".join(lines))
        return headers | {"Authorization": f"SharedKey {account}:{base64.b64encode(tag).decode()}"}

    def s3(self, method, path, query, more, body):
        time = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(body).hexdigest()
        headers = dict(sorted({"host": self.host, "x-amz-content-sha256": digest, "x-amz-date": time, **more}.items()))
        text = "&".join(f"{k}={urllib.parse.quote(v, safe='-_.~')}" for k, v in query)
        names = ";".join(headers)
        asked = "\n".join([method, path, text, *(f"{k}:{v}" for k, v in headers.items()), "", names, digest])
        scope = f"{time[:8]}/us-east-1/s3/aws4_request"
        signed = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(asked.encode()).hexdigest()])
        key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
        for part in scope.split("/"):
            key = mac(key, part)
        who = f"Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
        return headers | {"Authorization": f"AWS4-HMAC-SHA256 {who}, SignedHeaders={names}, Signature={mac(key, signed).hex()}"}

    def names(self):
        """Of all objects below the prefix, relative to it."""
        after, below = "", self.prefix.rstrip("/") + "/"
        while True:
            if self.is_azure:
                query = [("comp", "list"), ("prefix", below), ("restype", "container")] + [("marker", after)] * bool(after)
            else:
                query = [("list-type", "2"), ("prefix", below)] + [("continuation-token", after)] * bool(after)
            page = xml.fromstring(self.request("GET", self.root, query))
            plain = lambda element: element.tag.rsplit("}", 1)[-1]
            wanted = "Name" if self.is_azure else "Key"
            for element in page.iter():
                if plain(element) in ("Blob", "Contents"):
                    yield next(child.text for child in element if plain(child) == wanted)[len(below):]
            after = next((e.text for e in page if plain(e) in ("NextMarker", "NextContinuationToken")), None)
            if not after:
                return

    def revive(self):
        """Takes the markers away that hide what was deleted below the prefix."""
        plain = lambda element: element.tag.rsplit("}", 1)[-1]
        page = xml.fromstring(self.request("GET", self.root, [("prefix", self.prefix.rstrip("/") + "/"), ("versions", "")]))
        assert next(e.text for e in page if plain(e) == "IsTruncated") == "false", "more versions than one page holds"
        for element in page:
            of = {plain(child): child.text for child in element}
            if plain(element) == "DeleteMarker" and of["IsLatest"] == "true":
                self.request("DELETE", f"{self.root}/{of['Key']}", [("versionId", of["VersionId"])])

    def lock(self):
        """Makes the bucket, with object lock and a day of retention for every version."""
        self.request("PUT", self.root, (), {"x-amz-bucket-object-lock-enabled": "true"})
        rule = "<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule>"
        body = f"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
        self.request("PUT", self.root, [("object-lock", "")], {}, body.encode())

    def path(self, name):
        return f"{self.root}/{self.prefix.rstrip('/')}/{name}"


what, store = sys.argv[1], Store(sys.argv[2])
if what == "remove":
    store.request("DELETE", f"{store.root}/{store.prefix}")
    sys.exit()
if what == "put":
    files = {str(file.relative_to(sys.argv[3])): file.read_bytes() for file in pathlib.Path(sys.argv[3]).rglob("*") if file.is_file()}
    there = set(store.names())
    for name in there - files.keys():
        store.request("DELETE", store.path(name))
    for name, content in files.items():
        if name not in there or store.request("GET", store.path(name)) != content:
            store.request("PUT", store.path(name), body=content)
    sys.exit()
if what in ("lock", "revive"):
    getattr(store, what)()
    sys.exit()
for name in sorted(store.names()):
    if what == "list":
        print(name)
    elif what == "dump":
        file = os.path.join(sys.argv[3], name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "wb") as to:
            to.write(store.request("GET", store.path(name)))
    elif what == "delete":
        store.request("DELETE", store.path(name))
    else:
        raise SystemExit(f"no such command: {what}")
