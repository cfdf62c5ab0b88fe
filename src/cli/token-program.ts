/** The commands of tokens of the admin API: `token create`, `list` and `revoke`. */
import { Option, type Command } from "commander"
import type { z } from "zod"
import { ADMIN_TOKENS, CREATED_ADMIN_TOKEN } from "../admin/index.js"
import { parseDuration } from "../config/index.js"
import { TOKEN_SCOPES } from "../format/admin-token.js"
import { checked } from "./checked.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { group, withStore } from "./options.js"
import { answer, answerList, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { printable, tableText, timeText } from "./text.js"

type Options = StoreOptions & OutputOptions
type Token = z.output<typeof ADMIN_TOKENS>["tokens"][number]

interface CreateOptions extends Options {
  readonly scope: string
  readonly expires?: string
}

const PATH = "/v1/tokens"

export function addTokenCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const token = group(program, "token").description(
    "tokens of the admin API, for programs and people without the data folders",
  )
  withStore(token.command("create"))
    .description("make a token, and show it once")
    .argument("<NAME>", "what it is for")
    .addOption(
      new Option(
        "--scope <LIST>",
        `what it may do, separated by commas: ${TOKEN_SCOPES.join(", ")}; each but read and all is for changes of its area`,
      ).makeOptionMandatory(),
    )
    .option("--expires <DURATION>", "duration after which it is refused: 12h, 90d (default: never)")
    .action((name: string, options: CreateOptions) => create(io, name, options, signal))
  withStore(token.command("list"))
    .description("all tokens: what they may do, until when, and when they were last used")
    .action((options: Options) => list(io, options, signal))
  withStore(token.command("revoke"))
    .description("refuse a token from the next request on")
    .argument("<ID>", "as token list shows it")
    .action((id: string, options: Options) => revoke(io, id, options, signal))
}

async function create(io: CliIo, name: string, options: CreateOptions, signal: AbortSignal): Promise<void> {
  const scopes = options.scope.split(",").map(text => {
    const scope = TOKEN_SCOPES.find(each => each === text.trim())
    if (scope === undefined)
      throw new CliError("usage", `--scope: "${text.slice(0, 80)}" is none of ${TOKEN_SCOPES.join(", ")}`)
    return scope
  })
  const { expires } = options
  const expiresMs = expires === undefined ? undefined : io.clock.wallMs() + parseDuration(expires, "--expires")
  const created = await withAdmin(io, options, signal, async client =>
    checked(
      CREATED_ADMIN_TOKEN,
      await client.post(PATH, { name, scopes, ...(expiresMs !== undefined && { expiresMs }) }),
    ),
  )
  const facts = `token ${created.id} for ${printable(created.name)}: ${scopesText(created)}; it is shown only now\n`
  await answer(io, options, created, `${facts}${created.token}\n`)
}

const scopesText = ({ scopes, expiresMs }: Token): string =>
  `${scopes.join(", ")}${expiresMs === undefined ? "" : `, until ${timeText(expiresMs)}`}`

async function list(io: CliIo, options: Options, signal: AbortSignal): Promise<void> {
  const { tokens } = await withAdmin(io, options, signal, async client => checked(ADMIN_TOKENS, await client.get(PATH)))
  const rows = tokens.map(({ id, name, scopes, expiresMs, usedMs }) => [
    ...[id, printable(name), scopes.join(",")],
    expiresMs === undefined ? "never" : timeText(expiresMs),
    usedMs === undefined ? "never" : timeText(usedMs),
  ])
  await answerList(io, options, tokens, tableText(["TOKEN", "NAME", "SCOPES", "EXPIRES", "LAST USED"], rows))
}

async function revoke(io: CliIo, id: string, options: Options, signal: AbortSignal): Promise<void> {
  await withAdmin(io, options, signal, client => client.remove(`${PATH}/${encodeURIComponent(id)}`))
  await answer(io, options, { id, revoked: true }, `revoked token ${id}\n`)
}
