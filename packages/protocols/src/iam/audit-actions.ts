/**
 * The audit log of IAM: each action that changes something, with what the action that shows it returns before and after.
 * STS changes nothing: its sessions are in its log lines.
 */
import { audited, auditCallerOf, auditText, type AuditLog } from "@hayloft/access/index.js"
import { XmlWriter } from "@hayloft/base/text/xml-writer.js"
import type { Action, IamCall, IamResult } from "./action.js"
import { findAction } from "./actions.js"

const READS = /^(Get|List|Simulate|Generate)/

/** The action that shows what others change, by their names. */
const SHOWN_BY: readonly (readonly [changes: RegExp, shows: string])[] = [
  [/^(?:Put|Delete)(User|Group|Role)Policy$/, "Get$1Policy"],
  [/^(?:Attach|Detach)(User|Group|Role)Policy$/, "ListAttached$1Policies"],
  [/^(?:Put|Delete)(User|Role)PermissionsBoundary$/, "Get$1"],
  [/^(?:Tag|Untag)(User|Role|Policy|OpenIDConnectProvider)$/, "List$1Tags"],
  [/^(?:Create|Update|Delete)(User|Group|Role)(?:Description)?$/, "Get$1"],
  [/^UpdateAssumeRolePolicy$/, "GetRole"],
  [/^.*User(?:To|From)Group$/, "ListGroupsForUser"],
  [/^(?:Create|Update|Delete)AccessKey$/, "ListAccessKeys"],
  [/^DeletePolicyVersion$/, "GetPolicyVersion"],
  [/^.*Policy(?:Version)?$/, "GetPolicy"],
  [/^.*OpenIDConnectProvider(?:Thumbprint)?$/, "GetOpenIDConnectProvider"],
]

/** Actions whose answer says more than the state afterwards. */
const ANSWERS = /^Create(Policy|PolicyVersion|OpenIDConnectProvider|AccessKey)$/

/** The action that shows what this one changes. */
export function readerOf(name: string): (Action & { readonly kind: "guarded" }) | undefined {
  const found = SHOWN_BY.find(([changes]) => changes.test(name))
  const action = found && findAction("iam", name.replace(found[0], found[1]))
  return action?.kind === "guarded" ? action : undefined
}

const isChange = (action: string): boolean => action.startsWith("iam:") && !READS.test(action.slice("iam:".length))

/** The parameters that identify the target, if no policy names it by an ARN. */
const TARGETS = ["PolicyArn", "OpenIDConnectProviderArn", "UserName", "RoleName", "GroupName", "AccessKeyId"] as const

interface AuditedRequest {
  readonly action: string
  readonly requestId: string
  readonly remoteAddress: string
  /** ARNs of what it acts on. */
  readonly targets: readonly string[]
}

/** Runs an authorised action. */
export function auditedAction(
  log: Pick<AuditLog, "begin">,
  { action, requestId, remoteAddress, targets }: AuditedRequest,
  call: IamCall,
  act: () => Promise<IamResult | void>,
): Promise<IamResult | void> {
  if (!isChange(action)) return act()
  const { parameters, caller } = call
  const name = action.slice("iam:".length)
  const named = TARGETS.map(each => parameters.optional(each)).find(text => text !== undefined)
  const change = {
    caller: auditCallerOf(caller.principal, caller.id, remoteAddress),
    requestId,
    operation: action,
    target: targets[0] ?? named ?? "",
    request: auditText(parameters.all),
  }
  const show = async (changes: Readonly<Record<string, string>>): Promise<string | undefined> => {
    const reader = readerOf(name)
    return reader && textOf(await reader.act({ ...call, parameters: parameters.only(reader.parameters, changes) }))
  }
  const before = () => show({})
  const after = async (result: IamResult | void) =>
    ANSWERS.test(name) ? textOf(result) : /^Delete(User|Group|Role)$/.test(name) ? undefined : show(renamed(call))
  return audited(log, change, { before, after }, act)
}

/** A user or group that was renamed has its new name afterwards. */
const renamed = ({ parameters }: IamCall): Readonly<Record<string, string>> =>
  Object.fromEntries(
    ["UserName", "GroupName"].flatMap(name => {
      const text = parameters.optional(`New${name}`)
      return text === undefined ? [] : [[name, text]]
    }),
  )

function textOf(result: IamResult | void): string | undefined {
  if (typeof result !== "function") return undefined
  const shown = new JsonOfXml()
  result(shown)
  return auditText(shown.value)
}

type Json = string | number | boolean | readonly Json[] | { readonly [name: string]: Json }

/** The elements that an action writes, as JSON: `member` elements are a list. */
class JsonOfXml extends XmlWriter {
  private elements: (readonly [name: string, value: Json])[] = []

  get value(): Json {
    const { elements } = this
    const isList = elements.length > 0 && elements.every(([name]) => name === "member" || name === "entry")
    return isList ? elements.map(([, value]) => value) : Object.fromEntries(elements)
  }

  override text(name: string, value: string | number | boolean | undefined): this {
    if (value !== undefined) this.elements.push([name, value])
    return this
  }

  override group(name: string, content: (xml: this) => void): this {
    const around = this.elements
    this.elements = []
    content(this)
    around.push([name, this.value])
    this.elements = around
    return this
  }

  override empty(name: string): this {
    this.elements.push([name, []])
    return this
  }
}
