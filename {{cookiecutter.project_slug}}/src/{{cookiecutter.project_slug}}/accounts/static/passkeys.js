// Hands a passkey over: asks the browser for it as soon as the page is there, and sends the form.
// The functions come from Flask-Security: base64.js and webauthn.js.
const form = document.querySelector("form[data-passkey]");
if (form) {
  const ask = form.dataset.passkey === "register" ? handleRegister : handleSignin;
  ask(form.dataset.options).then((result) => {
    if (result.error_msg) {
      document.getElementById("passkey-state").textContent = result.error_msg;
    } else {
      form.elements.credential.value = result.credential;
      form.submit();
    }
  });
}
