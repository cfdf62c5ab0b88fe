/** OpenID Connect providers, whose tokens allow web identities to assume roles. */
import { providerArn } from "@hayloft/access/index.js"
import { isoDate } from "@hayloft/base/text/dates.js"
import { guarded, type Actions, type IamCall, type IamResult } from "../action.js"
import { writeList } from "../paging.js"
import { writeTags } from "../shapes.js"
import { onAll, onNewProvider, onProvider, providerOf } from "../targets.js"

const ARN = "OpenIDConnectProviderArn"

export const PROVIDERS: Actions = {
  CreateOpenIDConnectProvider: guarded(onNewProvider, "Url ClientIDList ThumbprintList Tags", createProvider),
  GetOpenIDConnectProvider: guarded(onProvider, ARN, getProvider),
  ListOpenIDConnectProviders: guarded(onAll("oidc-provider"), "", listProviders),
  DeleteOpenIDConnectProvider: guarded(onProvider, ARN, async call =>
    call.identities.removeProvider(call.accountId, providerOf(call)),
  ),
  AddClientIDToOpenIDConnectProvider: guarded(onProvider, `${ARN} ClientID`, async call =>
    call.identities.updateProvider(call.accountId, providerOf(call), { addClientId: call.parameters.text("ClientID") }),
  ),
  RemoveClientIDFromOpenIDConnectProvider: guarded(onProvider, `${ARN} ClientID`, async call =>
    call.identities.updateProvider(call.accountId, providerOf(call), {
      removeClientId: call.parameters.text("ClientID"),
    }),
  ),
  UpdateOpenIDConnectProviderThumbprint: guarded(onProvider, `${ARN} ThumbprintList`, async call =>
    call.identities.updateProvider(call.accountId, providerOf(call), {
      thumbprints: call.parameters.list("ThumbprintList"),
    }),
  ),
}

async function createProvider({
  parameters,
  identities,
  webIdentities,
  accountId,
  number,
}: IamCall): Promise<IamResult> {
  const url = parameters.text("Url")
  webIdentities.checkUrl(url)
  const provider = await identities.createProvider(accountId, {
    url,
    clientIds: parameters.list("ClientIDList"),
    thumbprints: parameters.list("ThumbprintList"),
    tags: parameters.tags(),
  })
  return xml => {
    xml.text(ARN, providerArn(number, provider.url))
    if (provider.tags.length > 0) writeTags(xml, provider.tags)
  }
}

async function getProvider(call: IamCall): Promise<IamResult> {
  const { url, clientIds, thumbprints, tags, createdMs } = await call.identities.getProvider(
    call.accountId,
    providerOf(call),
  )
  return xml => {
    xml.text("Url", url).text("CreateDate", isoDate(createdMs))
    xml.texts("ClientIDList", clientIds).texts("ThumbprintList", thumbprints)
    if (tags.length > 0) writeTags(xml, tags)
  }
}

async function listProviders({ identities, accountId, number }: IamCall): Promise<IamResult> {
  const providers = await identities.listProviders(accountId)
  return xml =>
    writeList(xml, "OpenIDConnectProviderList", providers, (member, { url }) => {
      member.text("Arn", providerArn(number, url))
    })
}
