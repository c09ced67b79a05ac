// Ask the browser for a passkey when the page opens, and send its answer.
// The functions come from Flask-Security: base64.js and webauthn.js.
const form = document.querySelector("form[data-passkey]");
// https://www.w3.org/TR/webauthn-3/#sctn-privacy-considerations-client says why browsers give few details.
const REASONS = {
  SecurityError: "Passkeys don't work at an IP address. Open this site by its name, which is http://localhost in development.",
  InvalidStateError: "This device already has a passkey for this account.",
};

function askForPasskey(event) {
  event?.preventDefault();
  const handle = form.dataset.passkey === "register" ? handleRegister : handleSignin;
  handle(form.dataset.options).then((result) => {
    if (result.error_msg) {
      const name = Object.keys(REASONS).find((name) => result.error_msg.includes(name));
      const state = document.getElementById("passkey-state");
      state.setAttribute("role", "alert");
      state.textContent = REASONS[name] ?? "No passkey was used: the request was canceled or timed out, or there is no passkey for this site. Try again.";
    } else {
      form.elements.credential.value = result.credential;
      form.submit();
    }
  });
}

if (form) {
  form.addEventListener("submit", askForPasskey);
  askForPasskey();
}
