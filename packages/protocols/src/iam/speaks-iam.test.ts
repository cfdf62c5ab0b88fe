/** Which requests are for IAM and STS, among those of S3. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { speaksIam } from "./speaks-iam.js"

const scope = (service: string, region = "us-east-1") =>
  `AWS4-HMAC-SHA256 Credential=AKIA/20260101/${region}/${service}/aws4_request, SignedHeaders=host, Signature=0`
const FORM = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" }

const speaks = (method: string, rawTarget: string, headers: Readonly<Record<string, string>> = {}): boolean =>
  speaksIam({ method, rawTarget, header: name => headers[name] })

test("requests signed for iam or sts, in the header or the query, are recognized", () => {
  for (const service of ["iam", "sts"]) {
    assert.ok(speaks("POST", "/", { ...FORM, authorization: scope(service) }))
    assert.ok(speaks("POST", "/", { authorization: scope(service, "") }))
    assert.ok(speaks("GET", "/?Action=GetCallerIdentity", { authorization: scope(service) }))
    const credential = `X-Amz-Credential=AKIA%2F20260101%2Fus-east-1%2F${service}%2Faws4_request`
    assert.ok(speaks("GET", `/?Action=GetCallerIdentity&X-Amz-Algorithm=x&${credential}&X-Amz-Date=x`))
  }
})

test("unsigned forms and queries with an action are recognized", () => {
  assert.ok(speaks("POST", "/", FORM))
  assert.ok(speaks("POST", "/?Action=AssumeRoleWithWebIdentity&Version=2011-06-15"))
})

test("S3 requests are not: listings, forms, multi-object deletes, other paths", () => {
  assert.ok(!speaks("GET", "/"))
  assert.ok(!speaks("GET", "/", { authorization: scope("s3") }))
  assert.ok(!speaks("POST", "/", { "content-type": "multipart/form-data; boundary=x" }))
  assert.ok(!speaks("POST", "/?delete", { ...FORM, authorization: scope("s3") }))
  assert.ok(!speaks("POST", "/?delete", FORM))
  assert.ok(!speaks("POST", "/", { ...FORM, authorization: scope("s3") }))
  assert.ok(!speaks("POST", "/", { ...FORM, authorization: "Bearer token" }))
  assert.ok(!speaks("GET", "/?X-Amz-Credential=AKIA%2F20260101%2Fus-east-1%2Fs3%2Faws4_request"))
  assert.ok(!speaks("POST", "/bucket", { ...FORM, authorization: scope("iam") }))
  assert.ok(!speaks("PUT", "/", { ...FORM, authorization: scope("iam") }))
})
