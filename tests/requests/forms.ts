/** Form uploads as browsers send them: signed with either version or unsigned, valid and broken. */
import {
  FORM_BOUNDARY,
  FORM_END,
  fieldPart,
  filePart,
  signForm,
  signOldForm,
  type Fields,
} from "../../conformance/forms.js"
import type { RandomValues } from "./operations.js"
import type { People } from "./people.js"
import type { Spec } from "./spec.js"

const PEOPLE = [
  "owner",
  "owner",
  "owner",
  "admin",
  "writer",
  "reader",
  "nobody",
  "other",
  "inactive",
  "wrongSecret",
] as const
const EXPIRY_MS = 3_600_000

type Field = readonly [name: string, value: string]

function ownFields({ chance }: RandomValues): Field[] {
  const fields: Field[] = []
  const maybe = (percent: number, name: string, ...values: readonly [string, ...string[]]): void => {
    if (chance.percent(percent)) fields.push([name, chance.of(values)])
  }
  maybe(15, "acl", "private", "bucket-owner-full-control", "public-read", "x")
  maybe(15, "success_action_status", "200", "201", "204", "999")
  maybe(10, "success_action_redirect", "https://page.example.com/?a=b", "x")
  maybe(15, "Content-Type", "text/x", "")
  maybe(15, "x-amz-meta-a", "1", "")
  maybe(8, "tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>", "x")
  maybe(8, "x-amz-checksum-crc32", "AAAAAA==", "x")
  maybe(5, "x-ignore-a", "1")
  maybe(3, "key", "twice")
  maybe(3, "long", "l".repeat(21_000))
  return fields
}

function signatureFields(random: RandomValues, people: People, bucket: string, own: readonly Field[]): Fields {
  const { chance } = random
  if (chance.percent(10)) return []
  const conditions: unknown[] = [chance.percent(90) ? ["starts-with", "$key", ""] : ["eq", "$key", "a"]]
  for (const [name] of own) if (chance.percent(95)) conditions.push(["starts-with", `$${name}`, ""])
  if (chance.percent(5)) conditions.push(["starts-with", "$acl", ""])
  if (chance.percent(15)) conditions.push(["content-length-range", chance.of([0, 50]), chance.of([10, 2_000, 200_000])])
  const expiresMs = Date.now() + (chance.percent(5) ? -EXPIRY_MS : EXPIRY_MS)
  const options = { bucket: chance.percent(95) ? bucket : "another", conditions, expiresMs }
  const who = people[chance.of(PEOPLE)]
  return chance.percent(75) ? signForm(who, options) : signOldForm(who, options)
}

/** Occasionally a part of the form is missing or duplicated. */
export function randomForm(random: RandomValues, people: People): Spec {
  const { chance } = random
  const bucket = random.bucket()
  const key = chance.of(["a", "b", "dir/x", "up/$" + "{filename}", "a", "b", ""])
  const own = ownFields(random)
  const fields: Field[] = chance.percent(96) ? [["key", key]] : []
  fields.push(...own, ...signatureFields(random, people, bucket, own))
  const file = filePart({ name: chance.of(["f.txt", "", "\u00e4.txt"]), bytes: random.bytes() })
  const text = fields.map(([name, value]) => fieldPart(name, value)).join("")
  const end = chance.weighted([
    [20, FORM_END],
    [1, ""],
    [1, `${FORM_END}behind`],
  ])
  return {
    what: "PostObject",
    method: "POST",
    target: `/${bucket}`,
    host: "127.0.0.1:9000",
    headers: [["Content-Type", `multipart/form-data; boundary=${chance.percent(97) ? FORM_BOUNDARY : "x"}`]],
    body: Buffer.concat([Buffer.from(text), ...(chance.percent(96) ? [file] : []), Buffer.from(end)]),
    framing: { kind: "plain", lengthOff: 0 },
    signing: { person: "anonymous", how: "header", payload: "unsigned" },
    cuts: chance.percent(80) ? [] : [chance.below(1_000), chance.below(1_000)],
    about: { does: "put", bucket, key },
  }
}
