// Asks Keyledger about what a request carries. nginx lets it through on 204, and on nothing else.

// Where Keyledger is, and a service of yours with `keys:verify`, which asks. Keep this file readable
// by nginx alone: it holds that service's key.
const KEYLEDGER = 'http://127.0.0.1:8080';
const GATEWAY_KEY = 'put-the-key-of-your-gateway-service-here';

// What your API behind nginx serves: 'live' or 'test'. Keys of the other environment are none here.
const ENVIRONMENT = 'live';

// The one credential of a request. Two are none: Keyledger and your API could pick different ones.
function credential(r) {
    const shown = [];
    r.rawHeadersIn.forEach((header) => {
        const name = header[0].toLowerCase();
        if (name === 'x-api-key') {
            shown.push(header[1]);
        } else if (name === 'authorization') {
            const found = /^(?:bearer|token) (\S+)$/i.exec(header[1]);
            shown.push(found ? found[1] : '');
        }
    });
    return shown.length === 1 ? shown[0] : '';
}

// Of what nginx takes as a no, 401 asks for another credential; 403 says that it was understood.
function refuse(r, verdict) {
    switch (verdict.code) {
        case 'rate_limited':
            // nginx.conf makes it the 429 that it is: the key is good, and will be again.
            r.headersOut['X-Keyledger-Refusal'] = 'rate_limited';
            if (verdict.retry_after_seconds) {
                r.headersOut['X-Keyledger-Retry-After'] = `${verdict.retry_after_seconds}`;
            }
            r.return(403);
            break;
        case 'insufficient_scope':
        case 'ip_not_allowed':
            r.return(403);
            break;
        default:
            r.return(401);
    }
}

async function check(r) {
    const key = credential(r);
    if (!key) {
        r.return(401);
        return;
    }
    try {
        const answer = await ngx.fetch(`${KEYLEDGER}/v1/keys/verify`, {
            method: 'POST',
            headers: { 'X-Api-Key': GATEWAY_KEY, 'Content-Type': 'application/json' },
            body: JSON.stringify({
                key,
                scopes: [r.variables.keyledger_scope],
                ip: r.variables.remote_addr,
            }),
        });
        if (answer.status !== 200) {
            throw new Error(`Keyledger answered ${answer.status}`);
        }
        const verdict = await answer.json();
        // A token that was issued for another server says so (RFC 8707).
        if (verdict.valid && !verdict.audience && verdict.environment === ENVIRONMENT) {
            r.headersOut['X-Keyledger-Owner'] = `${verdict.owner.type}:${verdict.owner.id}`;
            r.headersOut['X-Keyledger-Scopes'] = verdict.scopes.join(' ');
            r.return(204);
        } else {
            refuse(r, verdict);
        }
    } catch (error) {
        // Nobody answers, or not as agreed: nothing is let through.
        r.error(`keyledger: ${error.message}`);
        r.return(500);
    }
}

export default { check };
