/**
 * Exit codes: a closed list that scripts may rely on, and the mapping of errors to them.
 */
import { userInfo } from "node:os"
import { CommanderError } from "commander"
import { isFailure, sentenceOf, type Failure } from "@hayloft/base/failures.js"
import { BrokenAnswer, RemoteFailure, Unreachable } from "@hayloft/client/index.js"

export const EXIT_CODES = {
  ok: { code: 0, meaning: "done" },
  failed: { code: 1, meaning: "failed; the message contains the reason" },
  usage: { code: 2, meaning: "wrong arguments, settings, or Node version; nothing was changed" },
  notFound: { code: 3, meaning: "no such bucket, key, account, file or store" },
  denied: { code: 4, meaning: "not allowed: wrong or missing credentials" },
  unreachable: { code: 5, meaning: "the endpoint does not respond" },
  conflict: { code: 6, meaning: "conflict: it already exists, is not empty, or is in use by another process" },
  interrupted: { code: 130, meaning: "interrupted" },
} as const

type ExitName = keyof typeof EXIT_CODES

/** An error of a command: one line that states what to do. */
export class CliError extends Error {
  override readonly name = "CliError"

  constructor(
    readonly exit: ExitName,
    message: string,
  ) {
    super(message)
  }
}

/** A program that a command has run has ended with this exit code, and has said why. */
export class ProgramEnded extends Error {
  override readonly name = "ProgramEnded"

  constructor(readonly code: number) {
    super(`the program ended with the exit code ${code}`)
  }
}

const BY_ERRNO: Readonly<Record<string, ExitName>> = {
  ENOENT: "notFound",
  EACCES: "denied",
  EPERM: "denied",
  EADDRINUSE: "conflict",
  EEXIST: "conflict",
}

function exitOfFailure(failure: Failure): ExitName {
  if (failure.kind === "invalidConfig") return "usage"
  if (/^(folderInUse|foreignFolder)$|Exists$|NotEmpty$|OwnedByYou$/.test(failure.kind)) return "conflict"
  if (failure.kind.startsWith("noSuch")) return "notFound"
  return failure.remedy === "signIn" || failure.kind === "wrongMasterKey" ? "denied" : "failed"
}

/** Error codes for wrong arguments in both APIs. */
const WRONG_ARGUMENT = /^(InvalidArgument|InvalidBucketName|InvalidConfig|KeyTooLong(Error)?)$/i

function exitOfRemote({ status, code }: RemoteFailure): ExitName {
  if (status === 400 && WRONG_ARGUMENT.test(code)) return "usage"
  if (status === 404) return "notFound"
  if (status === 401 || status === 403) return "denied"
  return status === 409 || status === 412 ? "conflict" : "failed"
}

/** Returns the system error inside a failure that only wraps it: an address that cannot be bound. */
function unwrapped(error: unknown): unknown {
  const cause = isFailure(error, "invalidConfig") ? error.cause : undefined
  return cause instanceof Error && "syscall" in cause && cause.syscall === "listen" ? cause : error
}

export function exitOf(thrown: unknown): ExitName {
  const error = unwrapped(thrown)
  if (error instanceof CliError) return error.exit
  if (error instanceof CommanderError) return error.exitCode === 0 ? "ok" : "usage"
  if (error instanceof RemoteFailure) return exitOfRemote(error)
  if (error instanceof Unreachable) return "unreachable"
  if (isFailure(error)) return exitOfFailure(error)
  if (error instanceof Error && error.name === "AbortError") return "interrupted"
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined
  return (typeof code === "string" ? BY_ERRNO[code] : undefined) ?? "failed"
}

/** The message for an error of the operating system; undefined for other errors. */
function systemMessage(error: Error): string | undefined {
  if (!("code" in error && "syscall" in error)) return undefined
  const path = "path" in error ? String(error.path) : ""
  if (error.code === "ENOENT" && path !== "") return `${path} does not exist`
  if (error.code === "EACCES" || error.code === "EPERM") return `not allowed: ${path || error.message}`
  return error.message
}

export function oneLine(text: string): string {
  const lines = text.split("\n").map(line => line.trim())
  return lines.filter(line => line !== "").join(" ")
}

/** The user of this process, by name if it has one. */
function userText(): string {
  try {
    return `user ${userInfo().username}`
  } catch {
    // A user id without a name, as in containers.
    return `user ${process.getuid?.() ?? "of this process"}`
  }
}

/** The message for a file or folder that this process may not access. */
function deniedMessage({ details: { path, folder, code } }: Failure): string | undefined {
  const where = path ?? folder
  if (where === undefined || (code !== "EACCES" && code !== "EPERM" && code !== "EROFS")) return undefined
  if (code === "EROFS") return `${String(where)} is on a file system that is mounted read-only; mount it for writing`
  return `${userText()} may not access ${String(where)} (${code}); change its owner to that user (chown), or start as its owner`
}

const RESCUE =
  "restore it from a copy of the disk, or recover the store into a new one: hayloft rescue --from FOLDER... --to NEW"

/** Failures of a start, with what to do about them. */
function failureMessage(failure: Failure): string {
  const denied = deniedMessage(failure)
  if (denied !== undefined) return denied
  const { path, found, owner } = failure.details
  const folder = path === undefined ? "a data folder" : String(path)
  switch (failure.kind) {
    case "folderInUse":
      if (found !== undefined) return sentenceOf(failure)
      return `${folder} is in use by ${String(owner ?? "another running process")}; stop that one, or choose another folder`
    case "folderNotEmpty":
      if (found !== undefined && /(^|, )\.minio\.sys(,|$)/.test(String(found)))
        return `${folder} is a disk of MinIO; choose a new folder for --data, and copy its content: hayloft import minio ${folder}`
      return `${folder} holds other files${found === undefined ? "" : ` (${String(found)})`}; choose an empty or a new folder for --data`
    case "foreignFolder":
      return /start with/i.test(failure.message)
        ? failure.message
        : `${failure.message}; start with the folders of one store only`
    case "corruptLog":
    case "corruptRow":
      return /hayloft rescue|remove the file|copy it again/.test(failure.message)
        ? sentenceOf(failure)
        : `${sentenceOf(failure)}; ${RESCUE}`
    default:
      return sentenceOf(failure)
  }
}

/** The one-line message of an error. Internal errors include the stack, for a bug report. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const system = systemMessage(error)
  if (system !== undefined) return system
  if (isFailure(error) && error.remedy !== "reportBug") return oneLine(failureMessage(error))
  const ours = error instanceof CliError || error instanceof RemoteFailure || error instanceof Unreachable
  if (ours || error instanceof BrokenAnswer) return oneLine(error.message)
  return error.stack ?? error.message
}
