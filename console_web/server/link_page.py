"""The page behind a link by text message: one button, and the phone's location goes to the centre.

One file without anything from elsewhere: the phone may be on the edge of a network.
"""

import base64
import hashlib

_SCRIPT = """
const say = (key) => { document.body.dataset.state = key };
async function send(place) {
  const { latitude: lat, longitude: lon, accuracy } = place.coords;
  const answer = await fetch(location.href, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ lat, lon, accuracy_m: Math.min(accuracy, 1000000) }),
  });
  say(answer.ok ? 'sent' : answer.status === 409 ? 'over' : 'failed');
}
function start() {
  say('busy');
  if (!navigator.geolocation) { say('denied'); return }
  let best = null, done = false, watch = 0;
  const finish = () => {
    if (done) return;
    done = true;
    navigator.geolocation.clearWatch(watch);
    if (best) send(best).catch(() => say('failed')); else say('denied');
  };
  watch = navigator.geolocation.watchPosition((place) => {
    if (!best || place.coords.accuracy < best.coords.accuracy) best = place;
    if (best.coords.accuracy <= 30) finish();
  }, finish, { enableHighAccuracy: true, timeout: 20000, maximumAge: 0 });
  setTimeout(finish, 15000);
}
document.getElementById('go').addEventListener('click', start);
start();
"""
_STYLE = """
body{font:18px/1.5 sans-serif;margin:0;padding:24px;max-width:32em;background:#fff;color:#111}
button{font:inherit;font-weight:700;width:100%;padding:18px;border:0;border-radius:8px;
background:#c00;color:#fff}
p[data-on]{display:none}
body[data-state=busy] p[data-on=busy],body[data-state=sent] p[data-on=sent],
body[data-state=over] p[data-on=over],body[data-state=failed] p[data-on=failed],
body[data-state=denied] p[data-on=denied]{display:block}
body[data-state=sent] button,body[data-state=over] button,body[data-state=busy] button{display:none}
"""


def _pinned(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


PAGE = f"""<!doctype html>
<html lang="zh"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>120 位置 · Location</title><style>{_STYLE}</style></head>
<body data-state="">
<h1>120</h1>
<p>请允许本页使用您的位置，急救中心会立即看到。<br>
Please allow this page to use your location; the emergency centre will see it at once.</p>
<button id="go" type="button">发送我的位置 · Send my location</button>
<p data-on="busy">正在定位，请稍候…… · Finding you, please wait…</p>
<p data-on="sent">已发送。请不要挂断电话。 · Sent. Please stay on the line.</p>
<p data-on="over">链接已用过或已失效。 · This link has been used, or is too old.</p>
<p data-on="denied">没有得到位置。请打开定位后再试，或在电话里说明地点。 ·
No location. Switch it on and try again, or tell us on the telephone.</p>
<p data-on="failed">没有发出，请再试一次。 · Not sent; please try again.</p>
<script>{_SCRIPT}</script>
</body></html>
"""
PAGE_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "permissions-policy": "geolocation=(self)",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "content-security-policy": (
        f"default-src 'none'; script-src {_pinned(_SCRIPT)}; style-src {_pinned(_STYLE)};"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
