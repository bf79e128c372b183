//! Images in the composer, and in messages.

use serde_json::json;

use super::desk::{Desk, at_the_desk, is_known};

/// A picture that the browser draws, as a file of this name.
const DRAWN: &str = "const draw = (name, width, type) => new Promise((done) => {
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = 40;
    const context = canvas.getContext('2d');
    context.fillStyle = '#0f5f58';
    context.fillRect(0, 0, width, 40);
    context.fillStyle = '#faf8f4';
    context.fillRect(8, 8, width / 2, 16);
    canvas.toBlob((blob) => done(new File([blob], name, {type})), type);
});
const carrier = (...files) => {
    const transfer = new DataTransfer();
    for (const file of files) transfer.items.add(file);
    return transfer;
};";

async fn run(desk: &Desk, script: &str) {
    let whole = format!("const done = arguments[0]; {DRAWN} (async () => {{ {script} }})().then(() => done(1));");
    assert_eq!(desk.browser.execute_async(&whole, &[]).await.unwrap(), json!(1));
}

async fn attached(desk: &Desk, count: usize) {
    let ready = "[...document.querySelectorAll('#composer-images .attachment')]";
    desk.wait(&format!(
        "return {ready}.length === {count} && {ready}.every((one) => one.getAttribute('aria-busy') === 'false')"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_attaches_pastes_and_drops_images() {
    at_the_desk(async |desk| {
        desk.open().await;
        desk.sign_up("Ada Lovelace", "ada@example.com").await;
        desk.wait("return document.querySelector('#composer-attach')?.checkVisibility()").await;
        run(desk, "const input = document.querySelector('#composer-file');
            input.files = carrier(await draw('one.png', 60, 'image/png')).files;
            input.dispatchEvent(new Event('change', {bubbles: true}));").await;
        attached(desk, 1).await;
        run(desk, "const event = new ClipboardEvent('paste', {bubbles: true, cancelable: true, clipboardData: carrier(await draw('two.jpg', 70, 'image/jpeg'))});
            document.querySelector('#composer-input').dispatchEvent(event);").await;
        attached(desk, 2).await;
        run(desk, "const event = new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: carrier(await draw('three.webp', 80, 'image/webp'))});
            document.body.dispatchEvent(event);").await;
        attached(desk, 3).await;
        // What is none is said so, and what was attached can be taken away again.
        run(desk, "const input = document.querySelector('#composer-file');
            input.files = carrier(new File(['<script>'], 'page.png', {type: 'image/png'})).files;
            input.dispatchEvent(new Event('change', {bubbles: true}));").await;
        desk.wait("return document.querySelector('#composer-notice')?.textContent.includes('no PNG, JPEG, WebP or GIF')").await;
        attached(desk, 3).await;
        desk.click("#composer-images .attachment:nth-child(2) button").await;
        attached(desk, 2).await;
        super::experiments::keep_picture(&desk.browser, "images-composer.png").await;

        // Nothing has to be written.
        desk.wait("return !document.querySelector('#composer-send').disabled").await;
        desk.click("#composer-send").await;
        desk.wait("return document.querySelectorAll('#composer-images .attachment').length === 0").await;
        let drawn = "[...document.querySelectorAll('.message[data-role=user] .images img')]";
        desk.wait(&format!("return {drawn}.length === 2 && {drawn}.every((one) => one.complete && one.naturalWidth > 0)")).await;
        desk.wait("return document.querySelector('.message[data-role=assistant]')?.textContent.includes('You have sent images')").await;
        super::experiments::keep_picture(&desk.browser, "images-message.png").await;
        desk.wait("return document.querySelector('.message[data-role=assistant]')?.dataset.status === 'final'").await;
        // They are there again after a reload.
        desk.browser.refresh().await.unwrap();
        desk.wait(&format!("return {drawn}.length === 2 && {drawn}.every((one) => one.complete && one.naturalWidth > 0)")).await;
        for line in desk.browser.console().await.unwrap() {
            let line = format!("{line:?}");
            assert!(is_known(&line) || line.contains("status of 415"), "{line}");
        }
    })
    .await;
}
