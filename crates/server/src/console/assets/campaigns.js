// Campaigns: all of them, or the one that the address names.

import { campaign } from "./campaign.js";
import { campaignList } from "./campaign-list.js";
import { make } from "./dom.js";
import { ask, begin } from "./operator.js";
import { followLinks, said, stage } from "./parts.js";

begin("campaigns", async (life, root) => {
  const me = await ask(life, "GET", "/v1/me");
  // Lists that are read in go on, and texts that are not saved are kept, while other parts of this page are looked at.
  const page = { me, mayChange: me.role !== "member", uploads: new Map(), drafts: new Map(), life };
  life.on(window, "beforeunload", (event) => page.drafts.size > 0 && event.preventDefault());
  const place = make("div", {});
  root.append(place);
  followLinks(life, root);
  const show = stage(life, place);
  const draw = () => {
    const id = said("campaign");
    return id === null ? show("", (own, slot) => campaignList(own, slot, page)) : show(id, (own, slot) => campaign(own, slot, id, page));
  };
  life.on(window, "popstate", draw);
  await draw();
});
