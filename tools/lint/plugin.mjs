/** The project's own lint rules, one file each; tests/tools/lint.test.ts plants a violation of each rule. */
import casts from "./casts.mjs"
import corePure from "./core-pure.mjs"
import entryPoint from "./entry-point.mjs"
import failures from "./failures.mjs"
import fanOut from "./fan-out.mjs"
import features from "./features.mjs"
import fileName from "./file-name.mjs"
import header from "./header.mjs"
import layers from "./layers.mjs"
import oneWriter from "./one-writer.mjs"
import openings from "./openings.mjs"
import patterns from "./patterns.mjs"
import signals from "./signals.mjs"
import size from "./size.mjs"
import syntax from "./syntax.mjs"
import waits from "./waits.mjs"
import words from "./words.mjs"
import world from "./world.mjs"

export default {
  meta: { name: "hayloft" },
  rules: {
    casts,
    "core-pure": corePure,
    "entry-point": entryPoint,
    failures,
    "fan-out": fanOut,
    features,
    "file-name": fileName,
    header,
    layers,
    "one-writer": oneWriter,
    openings,
    patterns,
    signals,
    size,
    syntax,
    waits,
    words,
    world,
  },
}
