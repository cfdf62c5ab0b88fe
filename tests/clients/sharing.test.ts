/** The AWS SDK shares a bucket by its policy, on a real server. */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  CreateBucketCommand,
  DeleteBucketPolicyCommand,
  GetBucketPolicyCommand,
  GetBucketPolicyStatusCommand,
  GetObjectCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import { dataFolders, withFolder } from "../harness/folders.js"
import { CREDENTIALS, REGION, withServer } from "../harness/server.js"

const Bucket = "shared"
const policyOf = (Effect: string, Resource: string): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: { Effect, Principal: "*", Action: "s3:GetObject", Resource } })
const PUBLIC = policyOf("Allow", "arn:aws:s3:::shared/open/*")

test("a bucket policy opens a part of the bucket to the public, and denies the owner, until it is deleted", () =>
  withFolder(folder =>
    withServer({ folders: dataFolders(folder, 1) }, async ({ endpoint }) => {
      const credentials = { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secretKey }
      const client = new S3Client({ endpoint, region: REGION, credentials, forcePathStyle: true, maxAttempts: 1 })
      const statusOf = async (key: string): Promise<number> => {
        const answer = await fetch(`${endpoint}/${Bucket}/${key}`)
        await answer.arrayBuffer()
        return answer.status
      }
      const read = async (Key: string) => {
        const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }))
        return Body?.transformToString()
      }
      const put = (Policy: string) => client.send(new PutBucketPolicyCommand({ Bucket, Policy }))
      await client.send(new CreateBucketCommand({ Bucket }))
      for (const Key of ["open/a", "secret"]) await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }))
      await assert.rejects(put(PUBLIC), { name: "AccessDenied" })
      assert.equal(await statusOf("open/a"), 403)
      const PublicAccessBlockConfiguration = { BlockPublicPolicy: false, RestrictPublicBuckets: false }
      await client.send(new PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration }))
      await put(PUBLIC)
      assert.equal((await client.send(new GetBucketPolicyCommand({ Bucket }))).Policy, PUBLIC)
      const { PolicyStatus } = await client.send(new GetBucketPolicyStatusCommand({ Bucket }))
      assert.equal(PolicyStatus?.IsPublic, true)
      const statuses = await Promise.all(["open/a", "open/absent", "secret"].map(statusOf))
      assert.deepEqual(statuses, [200, 403, 403])
      // Small objects are read synchronously where possible: the policy must apply to those reads too.
      assert.equal(await read("secret"), "secret")
      await put(policyOf("Deny", "arn:aws:s3:::shared/*"))
      await assert.rejects(read("secret"), { name: "AccessDenied" })
      await client.send(new DeleteBucketPolicyCommand({ Bucket }))
      assert.equal(await read("secret"), "secret")
      client.destroy()
    }),
  ))
