"""How a tribe comes to be: values first, a choice from both sides, then people and what they write together."""

from onebox.story.stage import Stage
from onebox.story.words import Words

REGION = "330100"
VALUES = {
    "frequency": "一年只摘一季，不催熟",
    "taste": "好吃的东西不赶时间",
    "feeling": "邻居的孩子也吃的水果",
    "acting": "一起下地，一起记录",
    "mission": "让慢食回到江南的饭桌",
    "looking_for": "愿意为一箱橘子负责的人",
}
ANSWERS = {
    "frequency": "我也等一季的果子",
    "taste": "我家餐桌从不赶",
    "feeling": "我给女儿吃什么，就卖什么",
    "acting": "每周六我都在果园",
}


async def merchant_opens(stage: Stage) -> None:
    """A merchant's first act is to publish its values; without them it cannot open."""
    owner = await stage.person("merchant", Words("沈秋", "Shen Qiu"))
    merchant = await owner.post("/v1/merchants", {"name": "秋园果业", "categories": ["fruit"]})
    stage.ids["merchant"] = merchant["id"]
    path = f"/v1/merchants/{merchant['id']}"
    await owner.refused("PATCH", path, {"state": "open"}, 428)
    await stage.timeline.step(owner.name, Words("登记了果园「秋园果业」", "registers an orchard, 秋园果业"))
    opened = await owner.patch(
        path,
        {
            "values": VALUES,
            "recruiting": {"open": True, "regions": [REGION], "terms": {"service_bps": 800}},
            "state": "open",
        },
        merchant["version"],
    )
    assert opened["state"] == "open"  # noqa: S101 - the story is a proof
    await stage.timeline.step(
        owner.name,
        Words("公布四同价值观，开始招募合伙人", "publishes its values (四同) and opens to partners"),
        VALUES["looking_for"],
    )


async def partner_joins(stage: Stage) -> None:
    """The choice is two-way: a partnership is there when both sides have accepted."""
    owner = stage.people["merchant"]
    partner = await stage.person("partner", Words("王小满", "Wang Xiaoman"))
    profile = await partner.post(
        "/v1/partners", {"display_name": "小满的店", "regions": [REGION], "capability": "社区团购五年，两个自提点"}
    )
    stage.ids["partner"] = profile["id"]
    application = await partner.post(
        "/v1/applications",
        {
            "merchant_id": stage.ids["merchant"],
            "partner_id": profile["id"],
            "answers": ANSWERS,
            "capability": "每月三百单",
        },
    )
    path = f"/v1/applications/{application['id']}"
    await partner.post(f"{path}/submit", {}, expect=200)
    await stage.timeline.step(
        partner.name, Words("申请成为合伙人，逐条回答四同", "applies as a partner and answers the four axes")
    )
    await owner.post(f"{path}/accept", {}, expect=200)
    agreed = await partner.post(f"{path}/accept", {}, expect=200)
    stage.ids["partnership"] = agreed["partnership_id"]
    await owner.post(f"/v1/partnerships/{agreed['partnership_id']}/activate", {}, expect=200)
    await stage.timeline.step(
        f"{owner.name} + {partner.name}",
        Words("双向选择成立，服务费 8%", "choose each other; the partner's service share is 8 %"),
    )


async def tribe_gathers(stage: Stage) -> None:
    """A partner founds the tribe and brings its first people; who brought whom is kept, and gives nobody a claim."""
    partner = stage.people["partner"]
    tribe = await partner.post(
        "/v1/tribes",
        {
            "name": "江南慢食部落",
            "partnership_id": stage.ids["partnership"],
            "charter": "先有内容，后有产品；先互动，后买卖。",
        },
    )
    stage.ids["tribe"] = tribe["id"]
    await stage.timeline.step(partner.name, Words("建起「江南慢食部落」", "founds the tribe 江南慢食部落"))
    invitation = await partner.post(f"/v1/tribes/{tribe['id']}/invitations", {"partner_id": stage.ids["partner"]})
    member = await stage.person("angel", Words("阿珍", "A Zhen"))
    membership = await member.post(
        f"/v1/tribes/{tribe['id']}/memberships", {"invite_token": invitation["invite_token"]}
    )
    await stage.timeline.step(
        member.name,
        Words("受邀加入部落，只以化名出现", "joins by invitation, known by a pseudonym only"),
        membership["pseudonym"],
    )


async def goods_and_story(stage: Stage, *, stock: int = 100) -> None:
    """The orchard's goods go on sale through the partner, and a member writes what the offer is about."""
    owner, partner, member = stage.people["merchant"], stage.people["partner"], stage.people["angel"]
    product = await owner.post(
        "/v1/products",
        {
            "merchant_id": stage.ids["merchant"],
            "name": "秭归伦晚脐橙 10 斤装",
            "description": "现摘现发",
            "variants": [{"name": "10 斤", "stock": stock}],
            "delivery_kind": "express",
            "state": "published",
        },
    )
    offer = await owner.post(
        "/v1/offers",
        {
            "product_id": product["id"],
            "seller": stage.ids["merchant"],
            "partnership_id": stage.ids["partnership"],
            "tribe_id": stage.ids["tribe"],
            "price": {"amount": 3990, "currency": "CNY"},
            "angel_bps": 500,
        },
    )
    stage.ids["offer"] = offer["id"]
    await stage.timeline.step(
        f"{owner.name} + {partner.name}",
        Words("上架脐橙 ¥39.90，天使分享 5%", "put oranges on sale at ¥39.90, 5 % for whoever brings the buyer"),
    )
    content = await member.post(
        f"/v1/tribes/{stage.ids['tribe']}/contents",
        {
            "title": "江南橘子熟了",
            "body": "果园在 350 米坡地，三月底才下树。怎么挑软硬，怎么榨汁，都写在这里。",
            "offer_ids": [offer["id"]],
        },
    )
    stage.ids["content"] = content["id"]
    await stage.timeline.step(
        member.name,
        Words(
            "写下果园的故事；带购买链接，强制标注「广告」",
            "writes the orchard's story; with a buy link it is labelled 广告 (ad)",
        ),
    )
