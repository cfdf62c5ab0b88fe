/**
 * The transforms of a bucket: pipelines with names, and rules that say which objects are read through one without being asked.
 *
 * Of the rules that fit a key the first applies. Amazon has no such document.
 *
 * Refuses  With `malformedXml` what the schema excludes; with `invalidArgument` what `parsePipeline` does; with
 *          `invalidRequest` names that are there twice, and rules that read archives.
 * Limits   `RULES_MAX` rules, `PIPELINES_MAX` pipelines.
 */
import { fail } from "@hayloft/base/failures.js"
import { byteStringOfText, parseModuleName, type ObjectKey } from "@hayloft/base/ids.js"
import { parsePipeline, type Pipeline } from "@hayloft/features/transforms/index.js"
import { SMALL_DOCUMENT } from "../read-document.js"
import {
  checkChildren,
  childrenNamed,
  childText,
  requiredText,
  type XmlElement,
} from "@hayloft/base/text/xml-reader.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { wordOf } from "./setting.js"
import type { S3Setting } from "./setting.js"

const RULES_MAX = 100
const PIPELINES_MAX = 100
const ID_CHARACTERS_MAX = 255

/** When a result is made: once the object has been written, or when it is first read. */
const TIMES = ["PUT", "GET"] as const

interface TransformRule {
  readonly id: string | undefined
  /** Prefix of keys, as text; "" fits all. */
  readonly prefix: string
  readonly suffix: string
  readonly when: (typeof TIMES)[number]
  readonly pipeline: Pipeline
}

export interface BucketTransforms {
  readonly pipelines: ReadonlyMap<string, Pipeline>
  readonly rules: readonly TransformRule[]
}

export const BUCKET_TRANSFORMS: S3Setting<BucketTransforms> = {
  name: "transforms",
  root: "TransformConfiguration",
  limits: SMALL_DOCUMENT,
  initial: undefined,
  missing: "NoSuchTransformConfiguration",
  read(root) {
    checkChildren(root, ["Pipeline", "Rule"])
    const rules = childrenNamed(root, "Rule").map(ruleOf)
    const named = childrenNamed(root, "Pipeline").map(pipelineOf)
    const pipelines = new Map(named)
    if (pipelines.size < named.length) throw fail("invalidRequest", { message: "Two pipelines have the same name." })
    if (rules.length > RULES_MAX || named.length > PIPELINES_MAX)
      throw fail("invalidRequest", {
        message: `A bucket has at most ${RULES_MAX} rules and ${PIPELINES_MAX} pipelines.`,
      })
    if (rules.length + named.length === 0)
      throw fail("malformedXml", { reason: "the document needs a Rule or a Pipeline" })
    return { pipelines, rules }
  },
  write(xml, { pipelines, rules }) {
    for (const [name, { text }] of pipelines)
      xml.group("Pipeline", pipeline => pipeline.text("Name", name).text("Steps", text))
    for (const rule of rules) xml.group("Rule", one => writeRule(one, rule))
  },
}

/** The rule that applies to a key. */
export const ruleOfKey = ({ rules }: BucketTransforms, key: ObjectKey): TransformRule | undefined =>
  rules.find(({ prefix, suffix }) => key.startsWith(byteStringOfText(prefix)) && key.endsWith(byteStringOfText(suffix)))

function writeRule(xml: XmlWriter, { id, prefix, suffix, when, pipeline }: TransformRule): void {
  xml
    .text("ID", id)
    .text("Prefix", prefix === "" ? undefined : prefix)
    .text("Suffix", suffix === "" ? undefined : suffix)
    .text("When", when)
    .text("Steps", pipeline.text)
}

function ruleOf(element: XmlElement): TransformRule {
  checkChildren(element, ["ID", "Prefix", "Suffix", "When", "Steps"])
  const id = childText(element, "ID")
  if ((id?.length ?? 0) > ID_CHARACTERS_MAX)
    throw fail("invalidRequest", { message: `The ID of a rule has at most ${ID_CHARACTERS_MAX} characters.` })
  const pipeline = parsePipeline(requiredText(element, "Steps"))
  if (pipeline.archive !== undefined)
    throw fail("invalidRequest", { message: "A rule cannot read archives: clients ask for their members." })
  return {
    id,
    pipeline,
    when: wordOf(childText(element, "When"), TIMES),
    prefix: childText(element, "Prefix") ?? "",
    suffix: childText(element, "Suffix") ?? "",
  }
}

function pipelineOf(element: XmlElement): readonly [string, Pipeline] {
  checkChildren(element, ["Name", "Steps"])
  return [parseModuleName(requiredText(element, "Name")), parsePipeline(requiredText(element, "Steps"))]
}
