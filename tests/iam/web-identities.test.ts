/** Roles for identities of a provider: valid tokens, and every way in which a token can be invalid. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type CryptoKey, type JWK } from "jose"
import { allow } from "../access/world.js"
import { formOf, formRequest, IamWorld, sessionIn, tell, type Values } from "./world.js"

const ISSUER = "https://id.example.com/realm"
const SERVICE = "sts"

interface ProviderKey {
  readonly kid: string
  readonly secret: CryptoKey | Uint8Array
  readonly shown: JWK
}

async function randomKey(kid: string, alg = "RS256"): Promise<ProviderKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg)
  return { kid, secret: privateKey, shown: { ...(await exportJWK(publicKey)), kid, alg } }
}

const tokenOf = (
  { kid, secret, shown }: ProviderKey,
  claims: Record<string, unknown> = {},
  expires: string | number = "10m",
) =>
  new SignJWT({ iss: ISSUER, aud: "app", sub: "somebody", ...claims })
    .setProtectedHeader({ alg: shown.alg ?? "", kid })
    .setIssuedAt()
    .setExpirationTime(expires)
    .sign(secret)

class Scene {
  key!: ProviderKey
  roleArn = ""
  private constructor(readonly world: IamWorld) {}

  static async open(condition: object = { StringEquals: { "id.example.com/realm:sub": "somebody" } }): Promise<Scene> {
    const scene = new Scene(await IamWorld.open(true))
    const { world } = scene
    scene.key = await randomKey("one")
    scene.publish(scene.key)
    const made = await world.iam("CreateOpenIDConnectProvider", { Url: ISSUER, "ClientIDList.member.1": "app" })
    const Federated = made.one("OpenIDConnectProviderArn")
    const statement = {
      Effect: "Allow",
      Principal: { Federated },
      Action: "sts:AssumeRoleWithWebIdentity",
      Condition: condition,
    }
    const AssumeRolePolicyDocument = JSON.stringify({ Version: "2012-10-17", Statement: [statement] })
    scene.roleArn = (await world.iam("CreateRole", { RoleName: "web", AssumeRolePolicyDocument })).one("Arn")
    await world.iam("PutRolePolicy", { RoleName: "web", PolicyName: "p", PolicyDocument: allow("iam:ListUsers") })
    return scene
  }

  publish(...keys: readonly ProviderKey[]): void {
    const { documents } = this.world.web
    documents.set(`${ISSUER}/.well-known/openid-configuration`, { issuer: ISSUER, jwks_uri: `${ISSUER}/keys` })
    documents.set(`${ISSUER}/keys`, { keys: keys.map(({ shown }) => shown) })
  }

  /** The request is unsigned. */
  async asks(token: string, values: Values = {}) {
    const all = { RoleArn: this.roleArn, RoleSessionName: "web", WebIdentityToken: token, ...values }
    return tell(this.world.handler, formRequest(formOf("AssumeRoleWithWebIdentity", all, SERVICE)))
  }

  async refused(code: string, token: string, values: Values = {}): Promise<void> {
    const answer = await this.asks(token, values)
    assert.equal(answer.code, code, answer.xml)
    assert.ok(answer.status === 400 || answer.status === 403)
  }
}

test("a token of the provider yields a session, which acts as the role and ends with the provider", async () => {
  const scene = await Scene.open()
  const { world } = scene
  const answer = await scene.asks(await tokenOf(scene.key))
  assert.equal(answer.status, 200, answer.xml)
  assert.deepEqual([answer.one("SubjectFromWebIdentityToken"), answer.one("Audience")], ["somebody", "app"])
  assert.match(answer.one("Provider"), /oidc-provider\/id\.example\.com\/realm$/)
  const session = sessionIn(answer)
  await world.iam("ListUsers", {}, session)
  await world.refused("AccessDenied", "ListRoles", {}, session)
  const limited = await scene.asks(await tokenOf(scene.key), { Policy: allow("iam:GetUser") })
  await world.refused("AccessDenied", "ListUsers", {}, sessionIn(limited))
  await world.iam("DeleteOpenIDConnectProvider", { OpenIDConnectProviderArn: answer.one("Provider") })
  await world.refused("InvalidClientTokenId", "ListUsers", {}, session)
  await scene.refused("InvalidIdentityToken", await tokenOf(scene.key))
})

test("invalid tokens are refused, each by its flaw", async () => {
  const scene = await Scene.open()
  const { key } = scene
  const good = await tokenOf(key)
  const [head = "", payload = "", signature = ""] = good.split(".")
  const forged = Buffer.from(
    JSON.stringify({ ...JSON.parse(Buffer.from(payload, "base64url").toString()), sub: "root" }),
  )
  await scene.refused("InvalidIdentityToken", "no token")
  await scene.refused("InvalidIdentityToken", `${head}.${forged.toString("base64url")}.${signature}`)
  await scene.refused("InvalidIdentityToken", await tokenOf({ ...(await randomKey("one")), kid: "one" }))
  await scene.refused("InvalidIdentityToken", await tokenOf(key, { aud: "other" }))
  await scene.refused("InvalidIdentityToken", await tokenOf(key, { iss: "https://elsewhere.example.com" }))
  await scene.refused("InvalidIdentityToken", await tokenOf(key, { iss: ISSUER.replace("https", "http") }))
  await scene.refused("InvalidIdentityToken", await tokenOf(key, { nbf: Date.now() / 1000 + 600 }))
  await scene.refused("InvalidIdentityToken", await tokenOf(key, { sub: "" }))
  for (const claim of ["iss", "aud", "sub"])
    for (const other of [7, null, {}, ["somebody"]])
      await scene.refused("InvalidIdentityToken", await tokenOf(key, { [claim]: other }))
  await scene.refused("InvalidIdentityToken", await tokenOf(key, { "https://aws.amazon.com/tags": {} }))
  await scene.refused("ExpiredTokenException", await tokenOf(key, {}, Math.floor(Date.now() / 1000) - 120))
  const claims = { iss: ISSUER, aud: "app", sub: "somebody" }
  await scene.refused("InvalidIdentityToken", new UnsecuredJWT(claims).setIssuedAt().setExpirationTime("1h").encode())
  await scene.refused("AccessDenied", await tokenOf(key, { sub: "somebody else" }))
  await scene.refused("AccessDenied", good, { RoleArn: scene.roleArn.replace(/\d{12}/, "999999999999") })
  assert.equal((await scene.asks(good, { ProviderId: "x" })).code, "NotImplemented")
  assert.equal((await scene.asks(good)).status, 200)
})

test("a symmetric key in a provider's key set cannot sign valid tokens, since others may know it", async () => {
  const scene = await Scene.open()
  const secret = Buffer.from("known to many, and long enough for a hash")
  const shared = {
    kid: "shared",
    secret,
    shown: { kty: "oct", k: secret.toString("base64url"), kid: "shared", alg: "HS256" },
  }
  scene.publish(scene.key, shared)
  await scene.refused("InvalidIdentityToken", await tokenOf(shared))
})

test("a key of the provider that is malformed or too short is refused, like a wrong one", async () => {
  const shown = [
    { kty: "RSA", n: "AQAB", e: "AQAB", alg: "RS256" },
    { kty: "RSA", alg: "RS256" },
    { kty: "EC", crv: "P-256", x: "AAAA", y: "AAAA", alg: "ES256" },
  ]
  for (const each of shown) {
    const scene = await Scene.open()
    const { kid, secret } = await randomKey("odd", each.alg)
    scene.publish({ kid, secret, shown: { ...each, kid } })
    await scene.refused("InvalidIdentityToken", await tokenOf({ kid, secret, shown: each }))
  }
})

test("other claims can be used in conditions, lists too", async () => {
  const scene = await Scene.open({ "ForAnyValue:StringEquals": { "id.example.com/realm:groups": "admins" } })
  await scene.refused("AccessDenied", await tokenOf(scene.key, { groups: ["users"] }))
  assert.equal((await scene.asks(await tokenOf(scene.key, { groups: ["users", "admins"] }))).status, 200)
})

test("elliptic keys and several audiences work as well", async () => {
  const scene = await Scene.open()
  const key = await randomKey("two", "ES256")
  scene.publish(scene.key, key)
  const answer = await scene.asks(await tokenOf(key, { aud: ["unknown", "app"] }))
  assert.equal(answer.one("Audience"), "app")
})

test("claims that differ only by case do not add a second value", async () => {
  const scene = await Scene.open()
  for (const name of ["SUB", "Sub"]) {
    await scene.refused("AccessDenied", await tokenOf(scene.key, { sub: "somebody else", [name]: "somebody" }))
    assert.equal((await scene.asks(await tokenOf(scene.key, { [name]: "somebody else" }))).status, 200)
  }
  const byMethod = await Scene.open({ StringEquals: { "id.example.com/realm:amr": "mfa" } })
  await byMethod.refused("AccessDenied", await tokenOf(byMethod.key, { AMR: "mfa" }))
  const byTeam = await Scene.open({ StringEquals: { "id.example.com/realm:team": "red" } })
  await byTeam.refused("AccessDenied", await tokenOf(byTeam.key, { team: "red", Team: "blue" }))
  assert.equal((await byTeam.asks(await tokenOf(byTeam.key, { Team: "red" }))).status, 200)
})

test("a provider is queried once, and again for a new key, but not for each token that names one", async () => {
  const scene = await Scene.open()
  const { fetched } = scene.world.web
  for (let i = 0; i < 5; i += 1) assert.equal((await scene.asks(await tokenOf(scene.key))).status, 200)
  assert.equal(fetched.length, 2, "its configuration and its keys")
  const unknown = await randomKey("unknown")
  for (let i = 0; i < 5; i += 1) await scene.refused("InvalidIdentityToken", await tokenOf(unknown))
  assert.equal(fetched.length, 2, "the last query was moments ago")
})

test("a provider that does not answer, or answers nonsense, never causes a 500", async () => {
  for (const spoil of ["gone", "another issuer", "no keys", "keys in the clear"] as const) {
    const scene = await Scene.open()
    const { documents, fetched } = scene.world.web
    const place = `${ISSUER}/.well-known/openid-configuration`
    if (spoil === "gone") documents.clear()
    if (spoil === "another issuer")
      documents.set(place, { issuer: "https://other.example.com", jwks_uri: `${ISSUER}/keys` })
    if (spoil === "no keys") documents.set(`${ISSUER}/keys`, { keys: "none" })
    if (spoil === "keys in the clear") documents.set(place, { issuer: ISSUER, jwks_uri: "http://id.example.com/keys" })
    for (let i = 0; i < 3; i += 1) await scene.refused("IDPCommunicationError", await tokenOf(scene.key))
    assert.ok(fetched.length <= 2, `${spoil}: ${fetched.join(" ")}`)
  }
})
