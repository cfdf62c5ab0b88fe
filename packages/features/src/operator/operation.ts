/**
 * Operations of `/v1`: each is defined once. A definition routes requests, and the OpenAPI document, the commands of the
 * command line with their help and completion, and typed calls are made from it. Its `run` makes one service call and
 * returns the reply's JSON.
 */
import { z } from "zod"
import type { KnownAccessKey } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { TokenScope } from "@hayloft/engine/format/accounts/admin-token.js"
import type { JobStarter } from "@hayloft/engine/format/job-record.js"
import { commandOf, type Answering, type OperatorCommand, type CommandOf } from "./command.js"
import type { OperatorServices } from "./services.js"

/** The key that signs a link, with the token of temporary credentials. */
export interface LinkSigner {
  readonly key: KnownAccessKey
  readonly sessionToken: string | undefined
}

export interface OperationInput {
  /** The decoded path segment that matches the braces with this name; the operation's path must have them. */
  readonly segment: (name: string) => string
  readonly query: ReadonlyMap<string, string>
  /** The body is undefined if the operation has none; it is a `Uint8Array` if the operation has a `bytesType`. */
  readonly body: unknown
  /** The sender of the request. */
  readonly caller: JobStarter
  /** Returns true if the caller may do all of this, too; it always may, unless it has access policies. */
  readonly isAllowed: (required: readonly RequiredAction[]) => Promise<boolean>
  /** The key that the caller has signed in with; undefined: the operator, or a token. */
  readonly signer: LinkSigner | undefined
  /** The Host header. */
  readonly host: string | undefined
  /** Fires when the client has disconnected. */
  readonly signal: AbortSignal
}

/** An action that a caller must be allowed to do, in the terms of access policies: `iam:DeleteUser` on a user's ARN. */
export interface RequiredAction {
  readonly action: string
  /** An ARN, or `*`. */
  readonly resource: string
  /** The account that the resource belongs to. */
  readonly owner: AccountId
  /** Values of condition keys, by name in lower case, a tag's with its key: `aws:resourcetag/team`. */
  readonly conditions?: ReadonlyMap<string, string | readonly string[]>
}

/** Scopes that allow changes: `read` is apart, and is enough for all that changes nothing. */
export type ChangeScope = Exclude<TokenScope, "read">

const METHODS = ["GET", "POST", "PUT", "DELETE"] as const
type Method = (typeof METHODS)[number]

export interface Operation<Services = OperatorServices> {
  readonly id: string
  readonly method: Method
  /** `/v1/devices/{device}/drain`: a segment in braces matches any text, and has the name of what it identifies. */
  readonly path: string
  readonly summary: string
  /**
   * The scope of tokens that may use it beside `all`; by default that of the core for the first segment of its path, and
   * `all` if it has none. `all`: it removes what nothing brings back, acts as others, or sends data elsewhere.
   */
  readonly scope?: ChangeScope
  readonly parameters: readonly { readonly name: string; readonly description: string }[]
  readonly request: z.ZodType | undefined
  /** The media type of its body, if that is bytes and not JSON; `request` is then undefined. */
  readonly bytesType?: string
  /** With `dryRun` in its body it only plans; of other operations that says nothing. */
  readonly mayPlan?: boolean
  /** It changes nothing, although its method is not GET. */
  readonly isRead?: boolean
  /** If its result has a `job`, the work goes on in it, and the status is 202. */
  readonly mayStartJob?: boolean
  /** A request without a body is one with an empty object. */
  readonly isBodyOptional?: boolean
  /** The limit of its body, if that may be larger than others. */
  readonly bodyBytesMax?: number
  readonly response: {
    readonly status: number
    readonly schema: z.ZodType | undefined
    /** It answers with JSON lines, each by the schema, until the client leaves: `run` returns a `LineSource`. */
    readonly isStream?: true
  }
  /**
   * All of which a caller with access policies needs. Throws the faults of the request that `run` throws.
   * Undefined or nothing: the action `hayloft:` and the operation's id, on `*`, which only the root account can allow.
   */
  permission?(services: Services, input: OperationInput): Promise<readonly RequiredAction[]>
  /** Some of its requests need the action that it would have without a `permission`. */
  readonly mayNeedOwnAction?: true
  /**
   * Requests for which a caller whose access policies name any action of S3 needs no further permission: those about what
   * it has started itself, or those whose work is decided as its own requests of S3. `permission`: for the description.
   */
  readonly own?: {
    readonly permission: string
    is(services: Services, input: OperationInput): Promise<boolean>
  }
  /** Returns true if the store has it switched off, and refuses it: the console then shows the page of this apart. */
  isOff?(services: Services): boolean
  run(services: Services, input: OperationInput): Promise<unknown>
  /** The commands of the command line that are this operation. */
  readonly commands?: readonly OperatorCommand[]
}

/** An operation whose answers have a type. */
interface Called<Services, Answer> extends Operation<Services>, Answering<Answer> {}

type Options<Services> = Omit<
  Operation<Services>,
  "id" | "method" | "path" | "parameters" | "request" | "response" | "commands"
>

interface Definition<Services, Answer> extends Options<Services> {
  readonly parameters?: Operation["parameters"]
  readonly request?: z.ZodType
  readonly commands?: readonly CommandOf<NoInfer<Answer>>[]
}

interface AnsweringDefinition<Services, Answer> extends Definition<Services, Answer> {
  /** By default 200. */
  readonly status?: number
  readonly answer: z.ZodType<Answer>
  /** It answers with JSON lines, each by the schema of the answer, until the client leaves. */
  readonly isStream?: true
}

type Route = `${Method} ${string}`

/** Returns the two functions that define operations on these services. */
export const operationsOn = <Services extends OperatorServices>() => ({
  /** An operation that answers with JSON. The route is its method and path: `POST /v1/devices/{device}/drain`. */
  operation: <Answer>(id: string, route: Route, definition: AnsweringDefinition<Services, Answer>) => {
    const { status = 200, answer, isStream, ...others } = definition
    const response = { status, schema: answer, ...(isStream && { isStream }) }
    return defined(id, route, others, { answer, response })
  },
  /** An operation that answers with nothing. */
  action: (id: string, route: Route, definition: Definition<Services, undefined>) =>
    defined(id, route, definition, { answer: z.undefined(), response: { status: 204, schema: undefined } }),
})

/** They define operations of features. */
export const { operation, action } = operationsOn<OperatorServices>()

function defined<Services, Answer>(
  id: string,
  route: Route,
  { parameters = [], request, commands = [], ...options }: Definition<Services, Answer>,
  answering: Pick<Called<Services, Answer>, "answer" | "response">,
): Called<Services, Answer> {
  const [method = "GET", path = ""] = [METHODS.find(each => route.startsWith(each)), route.split(" ")[1]]
  const called: Called<Services, Answer> = { id, method, path, parameters, request, ...options, ...answering }
  return withCommands(called, ...commands)
}

/** Adds commands to an operation: those that call operations which are defined after it. */
export const withCommands = <Services, Answer>(
  called: Called<Services, Answer>,
  ...commands: readonly CommandOf<NoInfer<Answer>>[]
): Called<Services, Answer> => ({ ...called, commands: commands.map(command => commandOf(called, command)) })

/** Parses a body by its schema. Throws `invalidArgument` with the path and the reason. */
export function parseBody<T extends z.ZodType>(type: T, body: unknown): z.output<T> {
  const parsed = type.safeParse(body)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const place = issue === undefined || issue.path.length === 0 ? "the body" : issue.path.join(".")
  throw fail("invalidArgument", { message: `${place}: ${issue?.message ?? "not valid"}` })
}
