/**
 * Code caches of the command's bundle for the processes of a test run, whose V8 has flags of its own (short-lived.cjs), and
 * for the newer Node: the suite starts the program about a thousand times.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { bundleMark, makeCache } from "../bundle.mjs"
import { NEW_NODE_PROGRAM } from "../ensure.mjs"
import { ROOT } from "./files.mjs"

export const SHORT_LIVED = join(ROOT, "tools/testing/short-lived.cjs")
/** Processes that have the variable use these caches. */
export const WITH_CODE_CACHES = { TEST_CODE_CACHES: "1" }
/** Says of which bundle, and by which flags, there are caches. */
const STAMP = join(ROOT, ".cache/code-caches")

const kindNow = () => `${bundleMark()}\n${readFileSync(SHORT_LIVED, "utf8")}`

export const hasCodeCaches = () =>
  bundleMark() !== undefined && existsSync(STAMP) && readFileSync(STAMP, "utf8") === kindNow()

/** Makes those that are missing; takes two seconds for each Node. */
export function makeCodeCaches() {
  if (bundleMark() === undefined || hasCodeCaches()) return
  const programs = [process.execPath, ...(existsSync(NEW_NODE_PROGRAM) ? [NEW_NODE_PROGRAM] : [])]
  for (const program of programs)
    makeCache(program, ["--require", SHORT_LIVED], { ...process.env, ...WITH_CODE_CACHES })
  mkdirSync(dirname(STAMP), { recursive: true })
  writeFileSync(STAMP, kindNow())
}
