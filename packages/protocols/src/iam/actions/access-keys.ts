/** Access keys of users, and of the account's root for itself. */
import type { AccessKey, KeyOwner } from "@hayloft/access/index.js"
import { isoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import type { AccessKeyId } from "@hayloft/base/ids.js"
import type { XmlWriter } from "@hayloft/base/text/xml-writer.js"
import { guarded, type Actions, type IamCall, type IamResult, type IamTarget } from "../action.js"
import { byName, iamPageOf, PAGING, writePage } from "../paging.js"
import type { Parameters } from "../parameters.js"
import { identityTarget, onUserOrCaller, userNameOf } from "../targets.js"

export const ACCESS_KEYS: Actions = {
  CreateAccessKey: guarded(onUserOrCaller, "UserName", createAccessKey),
  ListAccessKeys: guarded(onUserOrCaller, `UserName ${PAGING.join(" ")}`, listAccessKeys),
  UpdateAccessKey: guarded(onUserOrCaller, "UserName AccessKeyId Status", updateAccessKey),
  DeleteAccessKey: guarded(onUserOrCaller, "UserName AccessKeyId", async call =>
    call.accounts.removeKey(keyIdIn(call.parameters), await ownerOf(call)),
  ),
  GetAccessKeyLastUsed: guarded(onOwnerOfKey, "AccessKeyId", getAccessKeyLastUsed),
}

const keyIdIn = (parameters: Parameters): AccessKeyId => {
  const text = parameters.text("AccessKeyId")
  try {
    return parseAccessKeyId(text)
  } catch {
    throw noSuchKey(text)
  }
}

const noSuchKey = (text: string) =>
  fail("noSuchEntity", { message: `The Access Key with id ${text.slice(0, 128)} cannot be found` })

/** Throws `noSuchEntity` if the user does not exist. */
async function ownerOf(call: IamCall): Promise<KeyOwner> {
  const { accountId, identities } = call
  const name = userNameOf(call)
  if (name === undefined) return { accountId, userName: undefined }
  const user = await identities.get({ accountId, kind: "user", name })
  return { accountId, userName: user.name }
}

async function createAccessKey(call: IamCall): Promise<IamResult> {
  const { key, secret } = await call.accounts.createKey(await ownerOf(call))
  return xml =>
    void xml.group("AccessKey", shown => {
      shown.text("UserName", key.userName).text("AccessKeyId", key.id).text("Status", statusOf(key))
      shown.text("SecretAccessKey", secret).text("CreateDate", isoDate(key.createdMs))
    })
}

const statusOf = ({ isActive }: AccessKey): string => (isActive ? "Active" : "Inactive")

async function listAccessKeys(call: IamCall): Promise<IamResult> {
  const owner = await ownerOf(call)
  const keys = byName(await call.accounts.keysOf(owner), ({ id }) => id)
  const page = await iamPageOf(call.parameters, keys, ({ id }) => id)
  return xml => {
    xml.text("UserName", owner.userName)
    writePage(xml, "AccessKeyMetadata", page, writeKey)
  }
}

const writeKey = (xml: XmlWriter, key: AccessKey): void =>
  void xml
    .text("UserName", key.userName)
    .text("AccessKeyId", key.id)
    .text("Status", statusOf(key))
    .text("CreateDate", isoDate(key.createdMs))

async function updateAccessKey(call: IamCall): Promise<void> {
  const { parameters, accounts } = call
  const id = keyIdIn(parameters)
  parameters.text("Status")
  const status = parameters.word("Status", ["Active", "Inactive"])
  await accounts.setKeyActive(id, status === "Active", await ownerOf(call))
}

/** A key of the caller's account; undefined if there is none. */
async function ownKey({ accounts, accountId, parameters }: IamCall): Promise<AccessKey | undefined> {
  const key = await accounts.getKey(keyIdIn(parameters))
  return key?.accountId === accountId ? key : undefined
}

async function onOwnerOfKey(call: IamCall): Promise<IamTarget> {
  const key = await ownKey(call)
  return key?.userName === undefined ? { arn: "*" } : identityTarget(call, "user", key.userName)
}

async function getAccessKeyLastUsed(call: IamCall): Promise<IamResult> {
  const key = await ownKey(call)
  if (key === undefined) throw noSuchKey(call.parameters.text("AccessKeyId"))
  const use = await call.accounts.lastUse(key.id)
  return xml => {
    xml.text("UserName", key.userName)
    xml.group("AccessKeyLastUsed", last => {
      if (use !== undefined) last.text("LastUsedDate", isoDate(use.usedMs))
      last.text("ServiceName", use?.service ?? "N/A").text("Region", use?.region ?? "N/A")
    })
  }
}
