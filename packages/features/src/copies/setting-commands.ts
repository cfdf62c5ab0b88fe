/** The commands that let the changes of a bucket be copied, and no longer: they are of its setting `copies`. */
import { printable } from "@hayloft/base/text/report-text.js"
import {
  CommandProblem,
  type CommandOf,
  type Given,
  type SettingCommands,
  type ShownSetting,
  type Values,
} from "../operator/index.js"

/** The setting that is typed. Throws a `CommandProblem`. */
function settingIn(given: Given, { bytesPerSecond }: Values) {
  const to = given("to")
  const at = to.indexOf("/")
  if (at < 1 || at === to.length - 1)
    throw new CommandProblem("usage", `--to is the name of a store, a slash and a bucket there, not "${to}"`)
  const [prefix, storageClass] = [given("prefix"), given("storageClass")]
  return {
    store: to.slice(0, at),
    bucket: to.slice(at + 1),
    deletes: given("deletes") === "true",
    ...(prefix !== "" && { prefix }),
    ...(storageClass !== "" && { storageClass }),
    ...(given("opaqueEtags") === "true" && { opaqueEtags: true }),
    ...(given("sendBack") === "true" && { sendBack: true }),
    ...(bytesPerSecond !== undefined && { bytesPerSecond }),
  }
}

function rateOf(text: string): number {
  if (/^\d{1,12}$/.test(text)) return Number(text)
  throw new CommandProblem("usage", `--rate is a number of bytes, not "${text}"`)
}

const SET_COPIES: CommandOf<ShownSetting> = {
  name: "copies set",
  help: "copy each change of a bucket to a bucket of another store; what is there is copied first",
  inputs: {
    bucket: { flags: "<BUCKET>" },
    to: {
      flags: "--to <STORE/BUCKET>",
      help: "a remote store, as the operator's file names it, and the bucket there",
      isRequired: true,
    },
    prefix: { flags: "--prefix <PREFIX>", help: "what precedes each key there (default: nothing)" },
    deletes: { flags: "--no-deletes", help: "removals are not copied" },
    storageClass: { flags: "--storage-class <CLASS>", help: "of the copies (default: the target's)" },
    opaqueEtags: { flags: "--opaque-etags", help: "ETags of the target are not the MD5 of the bytes" },
    sendBack: {
      flags: "--send-back",
      help: "while filling, also send what arrived as copies: for a target that has lost its objects",
    },
    bytesPerSecond: { flags: "--rate <BYTES>", help: "bytes a second at most, on average", reads: rateOf },
  },
  sends: (given, values) => ({ setting: "copies", value: settingIn(given, values) }),
  async run({ given, values }, own) {
    await own()
    const bucket = given("bucket")
    const text = `changes of ${bucket} are copied to ${printable(`${given("to")}/${given("prefix")}`)}\n`
    return { json: { bucket, value: settingIn(given, values) }, text }
  },
}

const REMOVE_COPIES: CommandOf<undefined> = {
  name: "copies remove",
  help: "copy no more; what the target has stays there",
  inputs: { bucket: { flags: "<BUCKET>" } },
  sends: { setting: "copies" },
  json: (_, given) => ({ bucket: given("bucket"), deleted: true }),
  text: (_, given) => `${given("bucket")} is not copied any more\n`,
}

export const COPIES_COMMANDS: SettingCommands = { put: [SET_COPIES], remove: [REMOVE_COPIES] }
