/**
 * Sign-in to the console by OpenID Connect: real HTTP to a stand-in provider, real tokens, real identities. The way back with
 * each thing that can be wrong, and what policies allow afterwards.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { JWTPayload } from "jose"
import { providerArn, hostAndPath } from "@hayloft/access/index.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { ProviderSignIn } from "@hayloft/protocols/iam/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { RealWeb } from "@hayloft/base/seams/web/real.js"
import { allow, ROOT_KEY } from "../access/world.js"
import { CLIENT, StandInProvider } from "../harness/oidc-provider.js"
import { Browser, ConsoleWorld, MINUTE_MS } from "./world.js"

const NUMBER = accountNumberOf(ROOT_KEY.accountId)
const roleArn = (name: string): string => `arn:aws:iam::${NUMBER}:role/${name}`
/** A program whose tokens may assume roles, too, but not here. */
const OTHER_CLIENT = "pipelines"
const FROM_PROVIDER = { "sec-fetch-site": "cross-site", "x-hayloft-csrf": undefined }

class Scene {
  private constructor(
    readonly world: ConsoleWorld,
    readonly provider: StandInProvider,
    readonly browser: Browser,
  ) {}

  static async with(run: (scene: Scene) => Promise<void>): Promise<void> {
    const [world, provider, web] = [await ConsoleWorld.open(), await StandInProvider.start(), new RealWeb(true)]
    try {
      provider.nowMs = () => world.clock.wallMs()
      await run(new Scene(world, provider, await Scene.open(world, provider, web)))
    } finally {
      web.close()
      await provider.stop()
    }
  }

  /** Roles for groups of the provider: admins, who may do everything, and staff, who may look. */
  private static async open(world: ConsoleWorld, { issuer }: StandInProvider, web: RealWeb): Promise<Browser> {
    const { access, account } = world.access
    await access.identities.createProvider(account, {
      url: issuer,
      clientIds: [CLIENT.id, OTHER_CLIENT],
      thumbprints: [],
      tags: [],
    })
    for (const [name, action] of [
      ["admins", "*"],
      ["staff", "hayloft:GetStatus"],
    ] as const) {
      const statement = {
        Effect: "Allow",
        Action: "sts:AssumeRoleWithWebIdentity",
        Principal: { Federated: providerArn(NUMBER, issuer) },
        Condition: { "ForAnyValue:StringEquals": { [`${hostAndPath(issuer)}:groups`]: name } },
      }
      const trust = JSON.stringify({ Version: "2012-10-17", Statement: [statement] })
      await access.identities.putInline(await world.access.create("role", name, trust), "own", allow(action))
    }
    const settings = {
      issuer,
      clientId: CLIENT.id,
      clientSecret: CLIENT.secret,
      scopes: "openid email groups",
      roles: [roleArn("admins"), roleArn("staff")],
    }
    const parts = { ...access, web, clock: world.clock, random: new SimRandom(3) }
    return new Browser(world.node({ webSignIn: new ProviderSignIn(settings, parts) }))
  }

  /** Leaves for the provider, which sends the browser back: the address to come back to. */
  async leave(): Promise<URL> {
    const { status, value } = await this.browser.send("POST", "/v1/session", {
      body: { oidc: { returnTo: "/console/buckets?x=1" } },
    })
    assert.equal(status, 200, JSON.stringify(value))
    const response = await fetch(String(value["location"]), { redirect: "manual" })
    assert.equal(response.status, 303)
    return new URL(response.headers.get("location") ?? "")
  }

  /** Comes back: where the console is opened then. */
  async comeBack({ pathname, search }: URL, browser = this.browser): Promise<string> {
    const { status, headers } = await browser.send("GET", pathname + search, { headers: FROM_PROVIDER })
    assert.equal(status, 303)
    return headers["location"] ?? ""
  }

  async refused(kind: string, back: URL): Promise<void> {
    assert.equal(await this.comeBack(back), `/console/?signInFailed=${kind}`)
    assert.equal(await this.browser.isSignedIn(), false)
    assert.deepEqual([...this.browser.cookies], [], "the cookie of the sign-in is gone")
  }

  async mayDo(method: string, path: string): Promise<boolean> {
    const { status, value } = await this.browser.send(method, path, { body: {} })
    assert.ok([200, 403].includes(status), JSON.stringify(value))
    return status === 200
  }
}

test("a person acts as the first role that admits them, and policies decide what they may do", () =>
  Scene.with(async scene => {
    const { browser, provider } = scene
    const { methods } = await browser.session()
    assert.deepEqual(methods, { token: true, key: true, ldap: false, oidc: { issuer: provider.issuer } })
    const back = await scene.leave()
    assert.equal(`${back.origin}${back.pathname}`, "http://localhost:9001/v1/session/oidc")
    const [asked] = provider.asked
    assert.deepEqual(
      ["client_id", "response_type", "scope", "code_challenge_method", "kind"].map(name => asked?.get(name)),
      [CLIENT.id, "code", "openid email groups", "S256", "people"],
    )
    assert.equal(await scene.comeBack(back), "/console/buckets?x=1")
    const { who, csrf } = await browser.session()
    browser.csrf = String(csrf)
    const arn = `arn:aws:sts::${NUMBER}:assumed-role/staff/ann@example.org`
    assert.equal((who as { arn: string }).arn, arn)
    assert.deepEqual(
      [await scene.mayDo("GET", "/v1/status"), await scene.mayDo("POST", "/v1/scrub/start")],
      [true, false],
    )
    // It ends with the session of the role.
    await scene.world.clock.advance(29 * MINUTE_MS)
    assert.equal(await scene.mayDo("GET", "/v1/status"), true)
    await scene.world.clock.advance(29 * MINUTE_MS)
    assert.equal(await scene.mayDo("GET", "/v1/status"), true)
    await scene.world.clock.advance(3 * MINUTE_MS)
    assert.equal(await browser.isSignedIn(), false)
  }))

test("another group takes another role; nobody without one gets in", () =>
  Scene.with(async scene => {
    scene.provider.person = { sub: "8/x", groups: ["staff", "admins"] }
    await scene.comeBack(await scene.leave())
    const { who, csrf } = await scene.browser.session()
    assert.match((who as { arn: string }).arn, /assumed-role\/admins\/8-x$/)
    scene.browser.csrf = String(csrf)
    assert.equal(await scene.mayDo("POST", "/v1/scrub/start"), true)
    assert.equal((await scene.browser.send("DELETE", "/v1/session")).status, 204)
    scene.browser.csrf = undefined
    scene.provider.person = { sub: "9", groups: ["guests"] }
    await scene.refused("accessDenied", await scene.leave())
  }))

test("an address that the provider has not verified does not name the session", () =>
  Scene.with(async scene => {
    scene.provider.person = { sub: "10", email: "boss@example.org", email_verified: false, groups: ["staff"] }
    await scene.comeBack(await scene.leave())
    const { who } = await scene.browser.session()
    assert.match((who as { arn: string }).arn, /assumed-role\/staff\/10$/)
  }))

test("a wrong state, a code that was used, and the provider's refusal are refused", () =>
  Scene.with(async scene => {
    const other = await scene.leave()
    const back = await scene.leave()
    back.searchParams.set("state", other.searchParams.get("state") ?? "")
    await scene.refused("invalidIdentityToken", back)
    const used = await scene.leave()
    const cookies = new Map(scene.browser.cookies)
    await scene.comeBack(used)
    const thief = new Browser(scene.browser.node)
    for (const [name, value] of cookies) thief.cookies.set(name, value)
    assert.equal(await scene.comeBack(used, thief), "/console/?signInFailed=invalidIdentityToken")
    assert.equal(await thief.isSignedIn(), false)
    // Without the cookie of the one who began.
    const stranger = new Browser(scene.browser.node)
    assert.equal(await scene.comeBack(await scene.leave(), stranger), "/console/?signInFailed=requestExpired")
    const denied = await scene.leave()
    denied.searchParams.delete("code")
    denied.searchParams.set("error", "access_denied")
    assert.equal(await scene.comeBack(denied), "/console/?signInFailed=accessDenied")
    const mixed = await scene.leave()
    mixed.searchParams.set("iss", "https://other.example")
    assert.equal(await scene.comeBack(mixed), "/console/?signInFailed=invalidIdentityToken")
  }))

const FLAWS: readonly (readonly [what: string, flaws: JWTPayload, kind: string])[] = [
  ["another nonce", { nonce: "of another sign-in" }, "invalidIdentityToken"],
  ["a nonce that is no text", { nonce: 0 }, "invalidIdentityToken"],
  ["another audience", { aud: "another client" }, "invalidIdentityToken"],
  ["the audience of another registered client", { aud: OTHER_CLIENT }, "invalidIdentityToken"],
  ["several audiences, issued to another client", { aud: [CLIENT.id, "x"], azp: "x" }, "invalidIdentityToken"],
  ["several audiences, issued to nobody", { aud: [CLIENT.id, "x"] }, "invalidIdentityToken"],
  ["another issuer", { iss: "https://other.example" }, "invalidIdentityToken"],
]
for (const [what, flaws, kind] of FLAWS) {
  test(`a token with ${what} is refused`, () =>
    Scene.with(async scene => {
      scene.provider.flaws = flaws
      await scene.refused(kind, await scene.leave())
    }))
}

test("a token that has expired, and a browser that took too long, are refused", () =>
  Scene.with(async scene => {
    scene.provider.isLate = true
    await scene.refused("tokenExpired", await scene.leave())
    scene.provider.isLate = false
    const back = await scene.leave()
    await scene.world.clock.advance(11 * MINUTE_MS)
    await scene.refused("requestExpired", back)
  }))

test("a sign-in that was begun while the clock was ahead is over once the clock is right", () =>
  Scene.with(async scene => {
    scene.world.clock.jumpWall(24 * 60 * MINUTE_MS)
    const back = await scene.leave()
    scene.world.clock.jumpWall(-24 * 60 * MINUTE_MS)
    await scene.refused("requestExpired", back)
  }))

test("while the provider is down people are told, before they leave and when they come back", () =>
  Scene.with(async scene => {
    const back = await scene.leave()
    await scene.provider.stop()
    await scene.refused("providerUnreachable", back)
    await scene.world.clock.advance(70 * MINUTE_MS)
    const { status, code } = await scene.browser.send("POST", "/v1/session", { body: { oidc: {} } })
    assert.deepEqual([status, code], [503, "providerUnreachable"])
  }))

test("people are sent back to pages of the console only", () =>
  Scene.with(async scene => {
    for (const returnTo of ["//evil.example/", "https://evil.example/console/", "/v1/status"]) {
      const { status } = await scene.browser.send("POST", "/v1/session", { body: { oidc: { returnTo } } })
      assert.equal(status, 400)
    }
  }))
