/** The AWS CLI and boto3 create and use users, roles and sessions on a real server. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { createServer, type Server } from "node:http"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { exportJWK, generateKeyPair, SignJWT } from "jose"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, run, runOk, type CommandResult } from "../harness/commands.js"
import { CREDENTIALS, ROOT, ServerProcess } from "../harness/server.js"

let folder = ""
let server: ServerProcess

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-identities-"))
  server = await ServerProcess.start({
    folders: [join(folder, "data")],
    args: ["--allow-local-identity-providers"],
  })
})

after(async () => {
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

interface Keys {
  readonly id: string
  readonly secret: string
  readonly token?: string | undefined
}

const OPERATOR: Keys = { id: CREDENTIALS.accessKey, secret: CREDENTIALS.secretKey }

const env = ({ id, secret, token }: Keys, endpoint = server.endpoint) =>
  awsEnvironment({ endpoint, home: folder, credentials: { accessKey: id, secretKey: secret, token } })

const aws = findProgram("aws")
const skip = aws === undefined ? "aws is not installed" : false
// Releases before 2023 do not read the endpoint variable.
const command = (args: readonly string[], keys: Keys, endpoint = server.endpoint): Promise<CommandResult> =>
  run(aws ?? "", ["--endpoint-url", endpoint, "--output", "json", ...args], { env: env(keys, endpoint) })

async function ok(args: readonly string[], keys = OPERATOR, endpoint?: string): Promise<string> {
  const { code, stdout, stderr } = await command(args, keys, endpoint)
  assert.equal(code, 0, `aws ${args.join(" ")}: ${stderr}`)
  return stdout
}

async function refused(code: RegExp, args: readonly string[], keys = OPERATOR): Promise<void> {
  const result = await command(args, keys)
  assert.notEqual(result.code, 0, `aws ${args.join(" ")}`)
  assert.match(result.stderr, code)
}

const textOf = (output: string, name: string): string => {
  const text = new RegExp(`"${name}": "([^"]+)"`).exec(output)?.[1]
  assert.ok(text !== undefined, `${name} in ${output}`)
  return text
}
const keysIn = (output: string): Keys => ({
  id: textOf(output, "AccessKeyId"),
  secret: textOf(output, "SecretAccessKey"),
  token: /"SessionToken": "([^"]+)"/.exec(output)?.[1],
})

const document = (statement: object): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", ...statement }] })

test("AWS CLI: a user with a policy, a role, and their removal", { skip, timeout: 300_000 }, async () => {
  assert.match(textOf(await ok(["sts", "get-caller-identity"]), "Arn"), /:root$/)
  await ok(["iam", "create-user", "--user-name", "bob", "--tags", "Key=team,Value=é"])
  assert.equal(textOf(await ok(["iam", "get-user", "--user-name", "bob"]), "Value"), "é")
  const bob = keysIn(await ok(["iam", "create-access-key", "--user-name", "bob"]))
  await refused(/AccessDenied/, ["iam", "list-users"], bob)
  const PolicyDocument = document({ Action: ["iam:List*", "sts:AssumeRole"], Resource: "*" })
  await writeFile(join(folder, "policy.json"), PolicyDocument)
  const file = `file://${join(folder, "policy.json")}`
  const arn = textOf(await ok(["iam", "create-policy", "--policy-name", "lister", "--policy-document", file]), "Arn")
  await ok(["iam", "attach-user-policy", "--user-name", "bob", "--policy-arn", arn])
  assert.match(await ok(["iam", "list-users"], bob), /"bob"/)
  assert.match(await ok(["iam", "get-policy-version", "--policy-arn", arn, "--version-id", "v1"]), /"iam:List\*"/)
  const trust = document({ Principal: { AWS: "*" }, Action: "sts:AssumeRole" })
  const role = await ok(["iam", "create-role", "--role-name", "r", "--assume-role-policy-document", trust])
  const session = ["sts", "assume-role", "--role-arn", textOf(role, "Arn"), "--role-session-name", "work"]
  const working = keysIn(await ok(session, bob))
  assert.match(textOf(await ok(["sts", "get-caller-identity"], working), "Arn"), /assumed-role\/r\/work$/)
  await refused(/AccessDenied/, ["iam", "list-users"], working)
  await ok(["iam", "put-role-policy", "--role-name", "r", "--policy-name", "p", "--policy-document", PolicyDocument])
  assert.match(await ok(["iam", "list-roles", "--page-size", "1"], working), /"r"/)
  const temporary = keysIn(await ok(["sts", "get-session-token"], bob))
  assert.match(textOf(await ok(["sts", "get-caller-identity"], temporary), "Arn"), /user\/bob$/)
  await ok(["iam", "update-access-key", "--user-name", "bob", "--access-key-id", bob.id, "--status", "Inactive"])
  for (const ended of [bob, working, temporary]) {
    await refused(/InvalidClientTokenId/, ["sts", "get-caller-identity"], ended)
  }
  await refused(/NoSuchEntity/, ["iam", "get-user", "--user-name", "nobody"])
  await refused(/NotImplemented/, ["iam", "list-server-certificates"])
  await refused(/DeleteConflict/, ["iam", "delete-user", "--user-name", "bob"])
  await ok(["iam", "detach-user-policy", "--user-name", "bob", "--policy-arn", arn])
  await ok(["iam", "delete-access-key", "--user-name", "bob", "--access-key-id", bob.id])
  await ok(["iam", "delete-user", "--user-name", "bob"])
})

test("AWS CLI: permissions of users and sessions apply to S3 immediately", { skip, timeout: 300_000 }, async () => {
  await ok(["s3", "mb", "s3://given"])
  await writeFile(join(folder, "object"), "content")
  await ok(["s3", "cp", join(folder, "object"), "s3://given/team/object"])
  const read = document({ Action: "s3:GetObject", Resource: "arn:aws:s3:::given/team/*" })
  await ok(["iam", "create-user", "--user-name", "reader"])
  const reader = keysIn(await ok(["iam", "create-access-key", "--user-name", "reader"]))
  const get = ["s3api", "get-object", "--bucket", "given", "--key", "team/object", join(folder, "back")]
  await refused(/AccessDenied|Forbidden/, get, reader)
  const put = ["iam", "put-user-policy", "--user-name", "reader", "--policy-name", "p", "--policy-document", read]
  await ok(put)
  await ok(get, reader)
  await refused(/AccessDenied/, ["s3api", "delete-object", "--bucket", "given", "--key", "team/object"], reader)
  const session = keysIn(await ok(["sts", "get-session-token"], reader))
  await ok(get, session)
  await ok(["iam", "delete-user-policy", "--user-name", "reader", "--policy-name", "p"])
  for (const ended of [reader, session]) await refused(/AccessDenied|Forbidden/, get, ended)
  await ok(put)
  await ok(get, session)
  await ok(["iam", "delete-access-key", "--user-name", "reader", "--access-key-id", reader.id])
  await refused(/InvalidAccessKeyId|Forbidden/, get, reader)
  await refused(/InvalidToken|InvalidAccessKeyId|Bad Request/, get, session)
})

test("AWS CLI: IAM and STS are available on the admin port too", { skip, timeout: 60_000 }, async () => {
  const output = await ok(["sts", "get-caller-identity"], OPERATOR, server.adminEndpoint)
  assert.match(textOf(output, "Arn"), /:root$/)
})

/** The address of a provider on loopback, as in its tokens. */
async function openProvider(): Promise<{ issuer: string; token: string; close: () => Server }> {
  const { privateKey, publicKey } = await generateKeyPair("RS256")
  let issuer = ""
  const keys = { keys: [{ ...(await exportJWK(publicKey)), kid: "k", alg: "RS256" }] }
  const provider = createServer(({ url }, response) => {
    response.end(JSON.stringify(url === "/keys" ? keys : { issuer, jwks_uri: `${issuer}/keys` }))
  })
  await new Promise<void>(resolve => provider.listen(0, "127.0.0.1", resolve))
  const address = provider.address()
  issuer = `http://127.0.0.1:${typeof address === "object" ? (address?.port ?? 0) : 0}`
  const token = await new SignJWT({ iss: issuer, aud: "app", sub: "job" })
    .setProtectedHeader({ alg: "RS256", kid: "k" })
    .setIssuedAt()
    .setExpirationTime("10m")
    .sign(privateKey)
  return { issuer, token, close: () => provider.close() }
}

test("AWS CLI: a job with a provider's token assumes a role", { skip, timeout: 120_000 }, async () => {
  const { issuer, token, close } = await openProvider()
  try {
    const terms = ["--url", issuer, "--client-id-list", "app", "--thumbprint-list", "0".repeat(40)]
    const made = await ok(["iam", "create-open-id-connect-provider", ...terms])
    const Federated = textOf(made, "OpenIDConnectProviderArn")
    const host = issuer.replace("http://", "")
    const Condition = { StringEquals: { [`${host}:aud`]: "app", [`${host}:sub`]: "job" } }
    const trust = document({ Principal: { Federated }, Action: "sts:AssumeRoleWithWebIdentity", Condition })
    const role = await ok(["iam", "create-role", "--role-name", "job", "--assume-role-policy-document", trust])
    const tokenFile = join(folder, "token")
    await writeFile(tokenFile, token)
    const asking = ["--role-arn", textOf(role, "Arn"), "--role-session-name", "job", "--web-identity-token", token]
    const keys = keysIn(await ok(["sts", "assume-role-with-web-identity", ...asking]))
    assert.match(textOf(await ok(["sts", "get-caller-identity"], keys), "Arn"), /assumed-role\/job\/job$/)
    const [program, ...rest] = [aws ?? "", "--endpoint-url", server.endpoint, "sts", "get-caller-identity"]
    // As in a job of a cluster: the client exchanges the token by itself.
    const found = await run(program, rest, {
      env: {
        ...env(OPERATOR),
        ...{ AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined, AWS_ENDPOINT_URL_STS: server.endpoint },
        ...{
          AWS_ROLE_ARN: textOf(role, "Arn"),
          AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile,
          AWS_ROLE_SESSION_NAME: "itself",
        },
      },
    })
    // Releases before 2023 exchange the token only at Amazon's address.
    if (found.code === 0) assert.match(found.stdout, /assumed-role\/job\/itself/)
  } finally {
    close()
  }
})

const python = findProgram("python3")
test(
  "boto3: every kind of resource is created, read, listed in pages and deleted",
  { timeout: 180_000 },
  async context => {
    const found = python === undefined ? undefined : await run(python, ["-c", "import boto3"])
    if (python === undefined || found?.code !== 0) return context.skip("boto3 is not installed")
    const output = await runOk(python, [`${ROOT}tests/clients/boto3_identities.py`], { env: env(OPERATOR) })
    assert.match(output, /^all good$/m)
  },
)
