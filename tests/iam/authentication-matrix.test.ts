/**
 * Every action × every flaw of a signature: nothing is read or changed for an unauthenticated caller. Generated
 * from the table of actions, so that a new action is covered automatically.
 */
import { before, test } from "node:test"
import assert from "node:assert/strict"
import { attemptsWithoutWaits } from "@hayloft/access/secrets/testing-attempts.js"
import { FakeAudit } from "@hayloft/access/audit/testing-audit.js"
import { Denials, presign } from "@hayloft/access/index.js"
import { ACTIONS, createIamHandler } from "@hayloft/protocols/iam/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { MetricsInMemory } from "@hayloft/base/seams/telemetry/metrics.js"
import { AccessWorld } from "../access/world.js"
import type { HandlerRequest } from "../s3/ask.js"
import { formOf, formRequest, ROOT, sign, SimWeb, tell, type IamAnswer } from "./world.js"

const MINUTE_MS = 60_000
const calls: string[] = []

/** Records the calls to a service before it forwards them; looking up keys of signatures is allowed. */
function spied<Room extends object>(room: Room): Room {
  return new Proxy(room, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== "function") return value
      return (...args: unknown[]) => {
        if (property !== "secretOf" && property !== "noteUse") calls.push(String(property))
        return Reflect.apply(value, target, args) as unknown
      }
    },
  })
}

const { access } = await AccessWorld.open()
const handler = createIamHandler({
  accounts: spied(access.accounts),
  identities: spied(access.identities),
  sessions: spied(access.sessions),
  web: new SimWeb(),
  clock: new RealClock(),
  metrics: new MetricsInMemory(),
  denials: new Denials(),
  rates: { enter: () => undefined },
  attempts: attemptsWithoutWaits(),
  audit: new FakeAudit(),
})

const actions = (["iam", "sts"] as const).flatMap(service =>
  Object.entries(ACTIONS[service]).map(([name, action]) => ({ service, name, action })),
)

/** All parameters of all actions. */
const VALUES = {
  UserName: "u",
  GroupName: "g",
  RoleName: "r",
  PolicyName: "p",
  PolicyDocument: "{}",
  VersionId: "v1",
  PolicyArn: "arn:aws:iam::aws:policy/AmazonS3FullAccess",
  AccessKeyId: "AKIANOBODYNOBODYNOBO",
  Status: "Active",
}

interface Wrong {
  readonly name: string
  readonly make: (request: HandlerRequest, service: string) => HandlerRequest
  readonly codes: readonly string[]
}

const changed = (request: HandlerRequest, change: (text: string) => string): HandlerRequest => ({
  ...request,
  rawHeaders: request.rawHeaders.map(change),
})

const WRONGS: readonly Wrong[] = [
  { name: "unsigned", make: request => request, codes: ["MissingAuthenticationToken"] },
  {
    name: "wrong secret",
    make: (request, service) => sign(request, service, { ...ROOT, secret: "wrong" }),
    codes: ["SignatureDoesNotMatch"],
  },
  {
    name: "unknown key",
    make: (request, service) => sign(request, service, { accessKeyId: "AKIANOBODYNOBODYNOBO", secret: "x" }),
    codes: ["InvalidClientTokenId"],
  },
  {
    name: "a session token that was never issued",
    make: (request, service) => sign(request, service, { ...ROOT, token: "nobody's" }),
    codes: ["InvalidClientTokenId"],
  },
  {
    name: "changed signature",
    make: (request, service) =>
      changed(sign(request, service, ROOT), text =>
        text.replace(
          /(Signature=[0-9a-f]{63})(.)/,
          (_, most: string, last: string) => most + (last === "0" ? "1" : "0"),
        ),
      ),
    codes: ["SignatureDoesNotMatch"],
  },
  {
    name: "changed body",
    make: (request, service) => {
      const signed = sign(request, service, ROOT)
      return { ...signed, body: Buffer.concat([signed.body ?? Buffer.of(), Buffer.from("&Path=/x/")]) }
    },
    codes: ["SignatureDoesNotMatch"],
  },
  {
    name: "changed body, from a client that sends no hash",
    make: (request, service) => {
      const signed = sign(request, service, ROOT)
      const at = signed.rawHeaders.indexOf("x-amz-content-sha256")
      const rawHeaders = signed.rawHeaders.filter((_, i) => i !== at && i !== at + 1)
      return { ...signed, rawHeaders, body: Buffer.from(`${Buffer.from(signed.body ?? []).toString()}&Path=/x/`) }
    },
    codes: ["SignatureDoesNotMatch"],
  },
  {
    name: "unsigned payload",
    make: (request, service) =>
      changed(sign(request, service, ROOT), text => (/^[0-9a-f]{64}$/.test(text) ? "UNSIGNED-PAYLOAD" : text)),
    codes: ["SignatureDoesNotMatch"],
  },
  {
    name: "too old",
    make: (request, service) => sign(request, service, ROOT, Date.now() - 16 * MINUTE_MS),
    codes: ["SignatureDoesNotMatch"],
  },
  {
    name: "of tomorrow",
    make: (request, service) => sign(request, service, ROOT, Date.now() + 24 * 60 * MINUTE_MS),
    codes: ["SignatureDoesNotMatch"],
  },
  {
    name: "the name of another service",
    make: (request, service) => sign(request, service === "iam" ? "sts" : "iam", ROOT),
    codes: ["NotImplemented"],
  },
  {
    name: "S3's",
    make: (request, _service) => sign(request, "s3", ROOT),
    codes: ["IncompleteSignature"],
  },
  {
    name: "a header added",
    make: (request, service) => {
      const signed = sign(request, service, ROOT)
      return { ...signed, rawHeaders: [...signed.rawHeaders, "x-amz-more", "1"] }
    },
    codes: ["AccessDenied"],
  },
  {
    name: "signed twice",
    make: (request, service) => ({
      ...sign(request, service, ROOT),
      rawTarget: presign(request, 600, { ...ROOT, region: "us-east-1", service }, Date.now()),
    }),
    codes: ["ValidationError"],
  },
]

before(() => {
  assert.ok(actions.length > 90, `${actions.length} actions`)
})

test("no action runs for a request with an invalid signature", async () => {
  for (const { service, name, action } of actions) {
    const request = formRequest(formOf(name, VALUES, service))
    for (const { name: what, make, codes } of WRONGS) {
      if (what === "unsigned" && action.kind === "open") continue
      const answer = await tell(handler, make(request, service))
      assert.ok(codes.includes(answer.code), `${name}, ${what}: ${answer.status} ${answer.xml}`)
      assert.ok([400, 403, 501].includes(answer.status), `${name}, ${what}: ${answer.status}`)
    }
  }
  assert.deepEqual(calls, [])
})

test("a missing, broken or superfluous part never causes a 500", async () => {
  for (const { service, name } of actions) {
    for (const values of [{}, { UserName: "\u0000", RoleName: "", PolicyArn: "x", OpenIDConnectProviderArn: "x" }]) {
      const answer = await tell(handler, sign(formRequest(formOf(name, values, service)), service, ROOT))
      assert.ok(answer.status < 500 || answer.status === 501, `${name}: ${answer.status} ${answer.xml}`)
    }
  }
})

const statusOf = ({ status, code }: IamAnswer) => [status, code]

test("malformed forms are refused", async () => {
  const send = async (form: string) => statusOf(await tell(handler, sign(formRequest(form), "iam", ROOT)))
  assert.deepEqual(await send(""), [400, "ValidationError"])
  assert.deepEqual(await send("Action=ListUsers&Action=GetUser"), [400, "ValidationError"])
  assert.deepEqual(await send("Action=ListUsers&Version=2011-06-15"), [501, "NotImplemented"])
  assert.deepEqual(await send(`Action=ListUsers&x=${"x".repeat(300_000)}`), [413, "RequestEntityTooLarge"])
  const unsigned = await tell(handler, formRequest(`Action=AssumeRoleWithWebIdentity&x=${"x".repeat(70_000)}`))
  assert.deepEqual(statusOf(unsigned), [413, "RequestEntityTooLarge"])
})

test("a query works as well: signed in the header, or presigned", async () => {
  const asks: HandlerRequest = {
    method: "GET",
    rawTarget: "/?Action=GetCallerIdentity&Version=2011-06-15",
    rawHeaders: ["host", "localhost"],
    body: new Uint8Array(),
  }
  assert.equal((await tell(handler, sign(asks, "sts", ROOT))).one("Account").length, 12)
  const headers = ["x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
  const whole = { ...asks, rawHeaders: [...asks.rawHeaders, ...headers] }
  const rawTarget = presign(whole, 60, { ...ROOT, region: "", service: "sts" }, Date.now())
  assert.equal((await tell(handler, { ...whole, rawTarget })).one("Account").length, 12)
})
