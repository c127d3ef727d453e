//! A resource at one or several addresses, with an honest answer to every method.

use actix_web::dev::HttpServiceFactory;
use actix_web::http::Method;
use actix_web::http::header::ALLOW;
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, web};

use crate::caller::Visitor;
use crate::problem::Problem;

/// The addresses of one resource: the canonical one first, then those of the source documents.
pub(crate) type Paths = &'static [&'static str];

/// Builds an actix resource and remembers which methods it has.
pub(crate) struct At {
    resource: Resource,
    allow: Vec<&'static str>,
}

/// The resource at these addresses.
pub(crate) fn at(paths: Paths) -> At {
    At {
        resource: web::resource(paths.to_vec()),
        allow: Vec::new(),
    }
}

impl At {
    fn on<F, Args>(mut self, route: Route, name: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.allow.push(name);
        self.resource = self.resource.route(route.to(handler));
        self
    }

    /// GET, and HEAD, which is the same without the body (RFC 9110 §9.3.2).
    pub(crate) fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args> + Clone,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(web::get(), "GET", handler.clone())
            .on(web::head(), "HEAD", handler)
    }

    /// POST.
    pub(crate) fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(web::post(), "POST", handler)
    }

    /// PUT.
    pub(crate) fn put<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(web::put(), "PUT", handler)
    }

    /// PATCH.
    pub(crate) fn patch<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(web::patch(), "PATCH", handler)
    }

    /// DELETE.
    pub(crate) fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(web::delete(), "DELETE", handler)
    }

    /// The finished resource: OPTIONS answers after the same checks as any method,
    /// every other method is 405 with what is allowed.
    pub(crate) fn done(mut self) -> impl HttpServiceFactory {
        self.allow.push("OPTIONS");
        let allow = self.allow.join(", ");
        let for_options = allow.clone();
        self.resource
            .route(web::method(Method::OPTIONS).to(move |_: Visitor| {
                let allow = for_options.clone();
                async move {
                    HttpResponse::NoContent()
                        .insert_header((ALLOW, allow))
                        .finish()
                }
            }))
            .default_service(web::to(move |_: HttpRequest| {
                let problem = Problem::method_not_allowed(&allow);
                async move { Err::<HttpResponse, _>(problem) }
            }))
    }
}
