"""Makes the fixtures of tests/it/upgrade.rs by running the binary of the first version (commit e30e1c4):

    python3 make.py BINARY sqlite.sql
    python3 make.py BINARY mongodb.jsonl MONGODB_URI      # with pymongo
"""
import http.client, json, os, sqlite3, subprocess, sys, tempfile, time
binary, out = sys.argv[1:3]
mongo = sys.argv[3] if len(sys.argv) > 3 else None
home = tempfile.mkdtemp()
TOKEN = "an-admin-token-of-the-fixture-0001"
env = {"PATH": os.environ["PATH"], "BIND": "127.0.0.1:18099", "DATA_DIR": home + "/data", "API_TOKENS": TOKEN,
       "RINGCENTRAL_VERIFICATION_TOKEN": "fixture-token-0001", "LOG_FORMAT": "json"}
if mongo:
    import pymongo
    from bson import json_util
    db = pymongo.MongoClient(mongo).fixture
    pymongo.MongoClient(mongo).drop_database("fixture")
    env.update(MONGODB_URI=mongo, MONGODB_DATABASE="fixture")
    db.customers.insert_many([{"name": "Jane Doe", "email": "jane@example.com", "phone": "(416) 555-1234"},
                              {"name": "John Roe", "email": "john@example.com", "phone": "+14165559999"}])
else:
    open(home + "/c.csv", "w").write("id,name,email,phone,mobile\nc1,Jane Doe,jane@example.com,(416) 555-1234,\nc2,John Roe,john@example.com,+14165559999,\n")
    subprocess.run([binary, "customers", "import", home + "/c.csv"], env=env, check=True, cwd=home)
server = subprocess.Popen([binary], env=env, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
def ask(method, path, body=None, headers={}):
    h = http.client.HTTPConnection("127.0.0.1", 18099)
    h.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json", **headers})
    r = h.getresponse(); data = r.read(); return r.status, data, r.getheaders()
for _ in range(100):
    try: ask("GET", "/health/live"); break
    except OSError: time.sleep(0.1)
V = {"Verification-Token": "fixture-token-0001"}; A = {"Authorization": "Bearer " + TOKEN}
stamp = [0]
def tel(session, party, code, ext, reason=None, frm="+14165551234", queue=False):
    stamp[0] += 1
    p = {"id": party, "accountId": "1", "extensionId": ext, "direction": "Inbound", "status": {"code": code, "rcc": False},
         "from": {"phoneNumber": frm, "name": "Caller"}, "to": {"phoneNumber": "+15879876543", "extensionId": ext}}
    if reason: p["status"]["reason"] = reason
    body = {"sequence": stamp[0], "sessionId": session, "telephonySessionId": "s-" + session, "serverId": "x",
            "eventTime": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".%03dZ" % stamp[0], "parties": [p], "origin": {"type": "Call"}}
    s, b, _ = ask("POST", "/api/webhooks/ringcentral", {"uuid": f"u{stamp[0]}", "event": "/restapi/v1.0/account/1/telephony/sessions", "timestamp": body["eventTime"], "subscriptionId": "sub", "ownerId": "1", "body": body}, V)
    assert s == 200, (s, b)
def flat(session, status, ext="101"):
    b = {"telephonyStatus": status, "sessionId": session, "direction": "Inbound", "from": {"phoneNumber": "+14165559999", "name": "Guide"}, "to": {"phoneNumber": "+15879876543"}}
    s, x, _ = ask("POST", "/api/webhooks/ringcentral", {"event": f"/restapi/v1.0/account/~/extension/{ext}/presence", "body": b}, V); assert s == 200, (s, x)
tel("71001", "p-1", "Proceeding", "101"); tel("71001", "p-1", "Answered", "101"); tel("71001", "p-1", "Disconnected", "101")
tel("71002", "p-1", "Proceeding", "102"); tel("71002", "p-1", "Disconnected", "102")
flat("guide-1", "Ringing"); flat("guide-1", "NoCall")
flat("guide-2", "Ringing", "103")
tel("71003", "p-1", "Proceeding", "101"); tel("71003", "p-2", "Proceeding", "102"); tel("71003", "p-1", "Answered", "101"); tel("71003", "p-1", "Hold", "101")
tel("71004", "p-1", "Proceeding", "101", frm="+442079460000")
ask("POST", "/api/webhooks/ringcentral", {"event": "/unknown/kind", "body": {"a": 1}}, V)
time.sleep(5)
active = json.loads(ask("GET", "/api/ringcentral/active-calls", headers=A)[1])["calls"]
dismissed = next(c["id"] for c in active if c["session_id"] == "71004")
assert ask("POST", f"/api/ringcentral/calls/{dismissed}/dismiss", {}, A)[0] == 200
s, _, h = ask("POST", "/api/auth/session", {"token": TOKEN}); assert s == 204
cookie = next(v for k, v in h if k.lower() == "set-cookie").split(";")[0]
assert ask("DELETE", "/api/auth/session", headers={"Cookie": cookie, "Origin": "http://127.0.0.1:18099", "Host": "127.0.0.1:18099"})[0] in (204,)
time.sleep(3)
active = json.loads(ask("GET", "/api/ringcentral/active-calls", headers=A)[1])["calls"]
history = json.loads(ask("GET", "/api/ringcentral/calls?limit=500", headers=A)[1])["calls"]
server.terminate(); server.wait()
json.dump({"active": active, "history": history, "dismissed": dismissed, "cookie": cookie}, open(out.rsplit(".", 1)[0] + ".json", "w"), indent=1)
if mongo:
    with open(out, "w") as f:
        for name in sorted(db.list_collection_names()):
            for d in db[name].find():
                f.write(json_util.dumps({"collection": name, "document": d}, json_options=json_util.RELAXED_JSON_OPTIONS) + "\n")
else:
    con = sqlite3.connect(home + "/data/caller-popup.sqlite")
    open(out, "w").write("\n".join(con.iterdump()) + "\n")
print(len(active), "active", len(history), "ended")
