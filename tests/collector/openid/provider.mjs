// A certified provider of OpenID Connect, with keys of its own at each start: node provider.mjs PORT REDIRECT...
// Anybody logs in under any name; what it knows of each stands below.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const [port, ...redirects] = process.argv.slice(2);
const server = createServer();
const people = {
  li: { name: 'Li Wei', email: 'li@lessee.example', email_verified: true, groups: ['tenants'] },
  eve: { name: 'Eve', email: 'li@lessee.example', email_verified: false, groups: [] },
  root: { name: 'Root', email: 'root@keeper.example', email_verified: true, groups: ['staff', 'keepers'] },
};

server.listen(Number(port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'weighbridge', client_secret: 'a secret: +/&', redirect_uris: redirects,
      post_logout_redirect_uris: redirects.map((one) => one.replace('/openid/answer', '')),
    }],
    jwks: { keys: [key] },
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'], groups: ['groups'] },
    scopes: ['openid', 'profile', 'email', 'groups'],
    cookies: { keys: [randomUUID()] },
    pkce: { required: () => true },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  });
  server.on('request', provider.callback());
  console.log(`listening on ${issuer}`);
});
