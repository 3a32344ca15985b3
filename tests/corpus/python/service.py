"""A web service with packages that hold native code."""

import numpy
from cryptography.fernet import Fernet
from flask import Flask, jsonify, render_template, request

app = Flask(__name__)
KEY = Fernet(Fernet.generate_key())


@app.route("/")
def front():
    return "The service"


@app.post("/solve")
def solve():
    body = request.get_json()
    return jsonify(x=numpy.linalg.solve(body["a"], body["b"]).round(6).tolist())


@app.post("/seal")
def seal():
    sealed = KEY.encrypt(request.get_data())
    return jsonify(opened=KEY.decrypt(sealed).decode(), longer=len(sealed) > 100)


@app.get("/wave")
def wave():
    samples = numpy.sin(numpy.arange(64) * 2 * numpy.pi * 5 / 64)
    return jsonify(peak=int(numpy.abs(numpy.fft.rfft(samples)).argmax()))


@app.get("/draw")
def draw():
    return jsonify(drawn=len(numpy.random.default_rng(1).normal(size=3)))


@app.get("/fit")
def fit():
    line = numpy.polynomial.Polynomial.fit([0, 1, 2], [1, 3, 5], 1)
    return jsonify(slope=round(line.convert().coef[1], 6))


@app.get("/certificate")
def certificate():
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "corpus")])
    start = datetime.datetime(2020, 1, 1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return jsonify(subject=made.subject.rfc4514_string())


@app.get("/versions")
def versions():
    from importlib.metadata import version

    return jsonify({name: version(name) != "" for name in ["flask", "numpy", "cryptography"]})


@app.get("/time")
def time():
    from datetime import datetime
    from zoneinfo import ZoneInfo

    return datetime.fromtimestamp(0, ZoneInfo("Europe/Berlin")).isoformat()


@app.get("/page")
def page():
    return render_template("page.html", things=["one", "two"])
