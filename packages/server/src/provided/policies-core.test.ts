/** Policies of buckets and users that a start makes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseBucketName } from "@hayloft/base/ids.js"
import { GIVEN_TAG, givenPolicies, policyOfGrants, publicPolicy, tagOfGiven } from "./policies-core.js"

test("what everybody may do is what MinIO's words say", () => {
  assert.equal(publicPolicy("a", "none"), undefined)
  assert.deepEqual(publicPolicy("a", "download")?.Statement, [
    {
      Effect: "Allow",
      Principal: "*",
      Action: ["s3:GetBucketLocation", "s3:ListBucket"],
      Resource: ["arn:aws:s3:::a"],
    },
    { Effect: "Allow", Principal: "*", Action: ["s3:GetObject"], Resource: ["arn:aws:s3:::a/*"] },
  ])
  const actions = (access: "upload" | "public") => publicPolicy("a", access)?.Statement.flatMap(({ Action }) => Action)
  assert.ok(!actions("upload")?.includes("s3:GetObject"))
  assert.deepEqual(
    ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"].filter(
      one => !actions("public")?.includes(one),
    ),
    [],
  )
})

test("a grant is for its bucket alone", () => {
  assert.equal(policyOfGrants([]), undefined)
  const bucket = parseBucketName("logs")
  for (const grant of ["readonly", "writeonly", "readwrite"] as const) {
    const [ofBucket, ofObjects] = policyOfGrants([{ bucket, grant }])?.Statement ?? []
    assert.deepEqual([ofBucket?.Resource, ofObjects?.Resource], [["arn:aws:s3:::logs"], ["arn:aws:s3:::logs/*"]])
    assert.equal(
      ofObjects?.Action.some(action => action.startsWith("s3:Put") || action === "s3:*"),
      grant !== "readonly",
    )
  }
})

test("a tag tells which of the attached policies a start has attached, as many as a user can have", () => {
  const arns = Array.from(
    { length: 10 },
    (_, at) => `arn:aws:iam::000000000000:policy/${"path/".repeat(80)}policy-${at}`,
  )
  const tag = tagOfGiven(arns)
  assert.ok(tag !== undefined && tag[0] === GIVEN_TAG && tag[1].length <= 256)
  assert.deepEqual(givenPolicies({ attached: [...arns.slice(2), "by-hand"], tags: [tag] }), arns.slice(2))
  assert.deepEqual(givenPolicies({ attached: arns, tags: [["other", "tag"]] }), [])
  assert.equal(tagOfGiven([]), undefined)
})
