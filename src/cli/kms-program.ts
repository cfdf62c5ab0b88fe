/** The commands for named keys: their arguments, options and help. */
import type { Command } from "commander"
import type { z } from "zod"
import { KEY_USES, NAMED_KEY, NAMED_KEYS } from "../admin/index.js"
import { checked } from "./checked.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { group, numberOf, withStore } from "./options.js"
import { answer, answerList, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { printable, tableText, timeText } from "./text.js"

type KmsOptions = StoreOptions & OutputOptions

interface NewKeyOptions extends KmsOptions {
  readonly account?: string
  readonly alias?: string
  readonly description?: string
}

interface ExternalOptions extends KmsOptions {
  readonly vault?: string
  readonly aws?: string
  readonly account?: string
}

interface DeleteOptions extends KmsOptions {
  readonly days?: string
  readonly confirmUnreadable?: string
}

const STATES = { enabled: "enabled", disabled: "disabled", pendingDeletion: "pending deletion" } as const

export function addKmsCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const kms = group(program, "kms").description("named keys: what SSE-KMS and the API of AWS KMS encrypt with")
  const commands = (options: KmsOptions): KmsCommands => new KmsCommands(io, options, signal)
  withStore(kms.command("list"))
    .description("list the keys of all accounts")
    .action((options: KmsOptions) => commands(options).list())
  withStore(kms.command("create"))
    .description("create a key whose material this store keeps")
    .option("--account <ID>", "owner (default: the root account)")
    .option("--alias <NAME>", "alias/NAME, by which requests may name it")
    .option("--description <TEXT>", "purpose of the key")
    .action((options: NewKeyOptions) => commands(options).create(options))
  withStore(kms.command("add"))
    .description("register a key of Vault or AWS KMS as alias/NAME, after trying it")
    .argument("<NAME>")
    .option("--vault <KEY>", "name of a key in the transit engine of --kms-vault-url")
    .option("--aws <ARN>", "ARN of a key in AWS KMS")
    .option("--account <ID>", "owner (default: the root account)")
    .action((name: string, options: ExternalOptions) => commands(options).add(name, options))
  withStore(kms.command("adopt"))
    .description("take back a key whose row is lost, while the store has its materials; it is disabled then")
    .argument("<ID>")
    .option("--account <ID>", "owner (default: the root account)")
    .action((key: string, options: NewKeyOptions) => commands(options).adopt(key, options))
  withStore(kms.command("rotate"))
    .description("encrypt with a new material from now on; what is encrypted stays readable")
    .argument("<KEY>", "id, alias or ARN")
    .action((key: string, options: KmsOptions) => commands(options).change(key, "rotate", "rotated"))
  withStore(kms.command("disable"))
    .description("encrypt and decrypt nothing with a key until it is enabled again")
    .argument("<KEY>", "id, alias or ARN")
    .action((key: string, options: KmsOptions) => commands(options).change(key, "disable", "disabled"))
  withStore(kms.command("enable"))
    .description("enable a disabled key")
    .argument("<KEY>", "id, alias or ARN")
    .action((key: string, options: KmsOptions) => commands(options).change(key, "enable", "enabled"))
  withStore(kms.command("keep"))
    .description("cancel the deletion of a key; it is disabled then")
    .argument("<KEY>", "id, alias or ARN")
    .action((key: string, options: KmsOptions) => commands(options).change(key, "keep", "kept"))
  withStore(kms.command("delete"))
    .description("delete a key after a time, if nothing uses it then")
    .argument("<KEY>", "id, alias or ARN")
    .option("--days <N>", "how long it can still be kept: 7 to 30 (default: 30)")
    .option("--confirm-unreadable <N>", "delete it now, its time being over: N versions become unreadable permanently")
    .action((key: string, options: DeleteOptions) => commands(options).delete(key, options))
  withStore(kms.command("uses"))
    .description("count the versions that are encrypted with a key, by bucket; reads all rows of the store")
    .argument("<KEY>", "id, alias or ARN")
    .action((key: string, options: KmsOptions) => commands(options).uses(key))
}

type Key = z.output<typeof NAMED_KEY>

const aliasesText = ({ aliases }: Key): string => aliases.map(alias => ` as ${printable(alias)}`).join("")

const pathOf = (key: string, change: string): string => `/v1/kms/keys/${encodeURIComponent(key)}/${change}`

class KmsCommands {
  constructor(
    private readonly io: CliIo,
    private readonly options: KmsOptions,
    private readonly signal: AbortSignal,
  ) {}

  async list(): Promise<void> {
    const { keys } = checked(NAMED_KEYS, await this.with(client => client.get("/v1/kms/keys")))
    const rows = keys.map(({ createdMs, id, state, deletionMs, versions, aliases, external, description }) => [
      timeText(createdMs),
      id,
      deletionMs === undefined ? STATES[state] : `${STATES[state]} (${timeText(deletionMs)})`,
      external === undefined ? String(versions) : external.kind,
      aliases.join(" "),
      printable(description),
    ])
    const head = ["CREATED", "KEY", "STATE", "VERSIONS", "ALIASES", "DESCRIPTION"]
    await answerList(this.io, this.options, keys, tableText(head, rows))
  }

  async create({ account: accountId, alias, description }: NewKeyOptions): Promise<void> {
    const made = await this.make({ accountId, alias, description })
    await answer(this.io, this.options, made, `created ${made.arn}${aliasesText(made)}\n`)
  }

  async add(name: string, { vault, aws, account: accountId }: ExternalOptions): Promise<void> {
    const key = vault ?? aws
    if (key === undefined || (vault !== undefined && aws !== undefined))
      throw new CliError("usage", "name one key: --vault KEY or --aws ARN")
    const external = { kind: vault === undefined ? "aws" : "vault", name: key }
    const made = await this.make({ accountId, alias: `alias/${name}`, external })
    await answer(this.io, this.options, made, `registered ${made.arn}${aliasesText(made)}\n`)
  }

  async adopt(key: string, { account: accountId }: NewKeyOptions): Promise<void> {
    const made = checked(NAMED_KEY, await this.with(client => client.post(pathOf(key, "adopt"), { accountId })))
    const next = "it is disabled, and has the policy of a new key: set its policy, then enable it"
    await answer(this.io, this.options, made, `took back ${made.arn}; ${next}\n`)
  }

  async change(key: string, change: string, done: string): Promise<void> {
    const made = checked(NAMED_KEY, await this.with(client => client.post(pathOf(key, change), {})))
    await answer(this.io, this.options, made, `${done} key ${made.id}\n`)
  }

  async delete(key: string, { days, confirmUnreadable }: DeleteOptions): Promise<void> {
    if (confirmUnreadable !== undefined) {
      const unreadable = numberOf(confirmUnreadable, "--confirm-unreadable")
      await this.with(client => client.post(pathOf(key, "delete"), { unreadable }))
      await answer(this.io, this.options, { key, deleted: 1 }, `deleted key ${key}\n`)
      return
    }
    const body = days === undefined ? {} : { days: numberOf(days, "--days") }
    const made = checked(NAMED_KEY, await this.with(client => client.post(pathOf(key, "schedule-deletion"), body)))
    const when = timeText(made.deletionMs ?? 0)
    await answer(this.io, this.options, made, `key ${made.id} is deleted after ${when}, if nothing uses it then\n`)
  }

  async uses(key: string): Promise<void> {
    const { uses } = checked(KEY_USES, await this.with(client => client.get(pathOf(key, "uses"))))
    const rows = uses.map(({ bucket, count }) => [bucket, String(count)])
    await answerList(this.io, this.options, uses, tableText(["BUCKET", "VERSIONS"], rows))
  }

  private async make(request: object): Promise<Key> {
    return checked(NAMED_KEY, await this.with(client => client.post("/v1/kms/keys", request)))
  }

  private with<T>(use: Parameters<typeof withAdmin<T>>[3]): Promise<T> {
    return withAdmin(this.io, this.options, this.signal, use)
  }
}
