/**
 * The AWS CLI and boto3 use settings of buckets, access control lists, object lock, users, roles and sessions of a real
 * server. boto3 is the same code as the CLI without its command line, and has the details.
 */
import { test } from "node:test"
import assert from "node:assert/strict"
import { createServer, type Server } from "node:http"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { exportJWK, generateKeyPair, SignJWT } from "jose"
import { awsEnvironment } from "../harness/aws-environment.js"
import { forTestsOfFile } from "../harness/folders.js"
import { ServerProcess } from "../harness/server.js"
import { AwsCli, noAws } from "./aws-cli.js"
import { runBoto3 } from "./boto3.js"

let home = ""
let server: ServerProcess

forTestsOfFile(async folder => {
  home = folder
  server = await ServerProcess.start({
    folders: [join(folder, "data")],
    args: ["--allow-local-identity-providers"],
  })
  return () => server.kill()
})

const aws = new AwsCli(() => ({ endpoint: server.endpoint, home }))

const textOf = (output: string, name: string): string => {
  const text = new RegExp(`"${name}": "([^"]+)"`).exec(output)?.[1]
  assert.ok(text !== undefined, `${name} in ${output}`)
  return text
}

const keysIn = (output: string) => ({
  accessKey: textOf(output, "AccessKeyId"),
  secretKey: textOf(output, "SecretAccessKey"),
  token: /"SessionToken": "([^"]+)"/.exec(output)?.[1],
})

const document = (statement: object): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect: "Allow", ...statement }] })

const CORS = {
  CORSRules: [
    {
      ID: "pages",
      AllowedHeaders: ["*"],
      AllowedMethods: ["GET", "PUT"],
      AllowedOrigins: ["https://*.example.com"],
      ExposeHeaders: ["ETag"],
      MaxAgeSeconds: 60,
    },
  ],
}
const LOCK = { ObjectLockEnabled: "Enabled", Rule: { DefaultRetention: { Mode: "COMPLIANCE", Years: 1 } } }

test(
  "AWS CLI: a setting is put and got; what is locked is not deleted",
  { skip: noAws, timeout: 300_000 },
  async () => {
    const place = ["--bucket", "cli-locked"]
    const s3api = (name: string, ...more: readonly string[]) => aws.ok(["s3api", name, ...place, ...more])
    await s3api("create-bucket", "--object-lock-enabled-for-bucket")
    await s3api("put-bucket-cors", "--cors-configuration", JSON.stringify(CORS))
    assert.deepEqual(JSON.parse(await s3api("get-bucket-cors")), CORS)
    await s3api("put-object-lock-configuration", "--object-lock-configuration", JSON.stringify(LOCK))
    const body = join(home, "body")
    await writeFile(body, "body")
    const put = await s3api("put-object", "--key", "k", "--body", body, "--checksum-algorithm", "CRC32")
    const version = ["--key", "k", "--version-id", textOf(put, "VersionId"), "--bypass-governance-retention"]
    await aws.refused(/AccessDenied/, ["s3api", "delete-object", ...place, ...version])
  },
)

test("AWS CLI: a user with a policy, in IAM and in STS", { skip: noAws, timeout: 300_000 }, async () => {
  await aws.ok(["iam", "create-user", "--user-name", "ann", "--tags", "Key=team,Value=é"])
  const ann = keysIn(await aws.ok(["iam", "create-access-key", "--user-name", "ann"]))
  await writeFile(join(home, "policy.json"), document({ Action: "iam:List*", Resource: "*" }))
  const file = ["--policy-document", `file://${join(home, "policy.json")}`]
  await aws.ok(["iam", "put-user-policy", "--user-name", "ann", "--policy-name", "lister", ...file])
  assert.match(await aws.ok(["iam", "list-users", "--page-size", "1"], ann), /"ann"/)
  await aws.refused(/AccessDenied/, ["iam", "delete-user", "--user-name", "ann"], ann)
  const onAdminPort = new AwsCli(() => ({ endpoint: server.adminEndpoint, home, credentials: ann }))
  assert.match(textOf(await onAdminPort.ok(["sts", "get-caller-identity"]), "Arn"), /user\/ann$/)
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

test("AWS CLI: a job with a provider's token assumes a role", { skip: noAws, timeout: 300_000 }, async () => {
  const { issuer, token, close } = await openProvider()
  try {
    const terms = ["--url", issuer, "--client-id-list", "app", "--thumbprint-list", "0".repeat(40)]
    const made = await aws.ok(["iam", "create-open-id-connect-provider", ...terms])
    const Federated = textOf(made, "OpenIDConnectProviderArn")
    const host = issuer.replace("http://", "")
    const Condition = { StringEquals: { [`${host}:aud`]: "app", [`${host}:sub`]: "job" } }
    const trust = document({ Principal: { Federated }, Action: "sts:AssumeRoleWithWebIdentity", Condition })
    const role = await aws.ok(["iam", "create-role", "--role-name", "job", "--assume-role-policy-document", trust])
    const asking = ["--role-arn", textOf(role, "Arn"), "--role-session-name", "job", "--web-identity-token", token]
    const keys = keysIn(await aws.ok(["sts", "assume-role-with-web-identity", ...asking]))
    assert.match(textOf(await aws.ok(["sts", "get-caller-identity"], keys), "Arn"), /assumed-role\/job\/job$/)
    const tokenFile = join(home, "token")
    await writeFile(tokenFile, token)
    // A job in a cluster works like this: the client exchanges the token by itself.
    const itself = new AwsCli(() => ({ endpoint: server.endpoint, home }), {
      AWS_ACCESS_KEY_ID: undefined,
      AWS_SECRET_ACCESS_KEY: undefined,
      AWS_ENDPOINT_URL_STS: server.endpoint,
      AWS_ROLE_ARN: textOf(role, "Arn"),
      AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile,
      AWS_ROLE_SESSION_NAME: "itself",
    })
    const found = await itself.run(["sts", "get-caller-identity"])
    // Releases before 2023 exchange the token only at Amazon's address.
    if (found.code === 0) assert.match(found.stdout, /assumed-role\/job\/itself/)
  } finally {
    close()
  }
})

test("boto3: settings, access control lists, identities and object lock", { timeout: 180_000 }, context =>
  runBoto3(context, ["settings", "acl", "identities", "lock"], awsEnvironment({ endpoint: server.endpoint, home })),
)
